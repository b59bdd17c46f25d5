"""What the service said, as a test wants to ask for it.

The failure prevented: tests that look for a degraded part in the body alone, where null may be a
true answer. `degraded` holds the reasons, as the header has them.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

PATIENCE_SECONDS: Final = 60.0


class Headers(Mapping[str, str]):
    """By name, whatever its case; repeated headers are joined with commas."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._found: dict[str, str] = {}
        for name, value in pairs:
            before = self._found.get(name.lower())
            self._found[name.lower()] = value if before is None else f"{before}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._found[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(self._found)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def degraded(self) -> dict[str, str]:
        """Missing parts with their reasons: `{"coupon": "timeout"}`; empty for a full reply."""
        found: dict[str, str] = {}
        for item in filter(None, self.headers.get("tailrace-degraded", "").split(",")):
            part, _, facts = item.strip().partition(";")
            found[part] = facts
            for fact in facts.split(";"):
                name, _, value = fact.strip().partition("=")
                if name == "reason":
                    found[part] = value
        return found

    @property
    def code(self) -> str | None:
        """The code of a problem; None when the reply is none."""
        if self.headers.get("content-type", "").startswith("application/problem+json"):
            return str(self.json()["code"])
        return None


def ask(  # one request in all its parts
    port: int,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    json_body: object = None,
    body: bytes | None = None,
) -> Reply:
    """Sends one request on a connection of its own."""
    told = dict(headers or {})
    if json_body is not None:
        body = json.dumps(json_body).encode()
        told.setdefault("Content-Type", "application/json")
    if query:
        path += ("&" if "?" in path else "?") + urlencode(query)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body=body, headers=told)
        response = connection.getresponse()
        return Reply(response.status, Headers(response.getheaders()), response.read())
    finally:
        connection.close()
