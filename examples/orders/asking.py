"""Asking the order service, and taking its answer apart.

A reply says twice which parts are missing, in its body and in `Tailrace-Degraded`; both are kept so
that whoever checks can hold one against the other (DESIGN 4: the same words everywhere).
"""

import http.client
import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .processes import PATIENCE_SECONDS


@dataclass(frozen=True)
class Answer:
    """One reply, whole."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    milliseconds: float

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value

    @property
    def content_type(self) -> str:
        return self.headers.get_content_type()

    @property
    def degraded(self) -> dict[str, str]:
        """Part to reason, as the header says: `coupon;reason=timeout, user;reason=reset`."""
        return reasons(self.headers.get("Tailrace-Degraded", ""))


def reasons(header: str) -> dict[str, str]:
    found = {}
    for entry in filter(None, (text.strip() for text in header.split(","))):
        part, *parameters = (text.strip() for text in entry.split(";"))
        facts = dict(text.partition("=")[::2] for text in parameters)
        if not facts.get("reason"):
            raise ValueError(f"Tailrace-Degraded: no reason in {entry!r}")
        found[part] = facts["reason"]
    return found


def ask_once(url: str, headers: Mapping[str, str] | None = None) -> Answer:
    """`ask` over a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE_SECONDS)
    with closing(connection):
        return ask(connection, parts.path, headers)


def ask(
    connection: http.client.HTTPConnection,
    path: str,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    started = time.perf_counter()
    connection.request("GET", path, headers=dict(headers or {}))
    response = connection.getresponse()
    body = response.read()
    spent = (time.perf_counter() - started) * 1e3
    return Answer(response.status, response.headers, body, spent)
