"""What the service said, as a test wants to ask for it.

The failure prevented: tests that look for a degraded part in the body alone, where null may be a
true answer. `degraded` holds the reasons, as the header has them.
"""

from __future__ import annotations

import http.client
import json
import select
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from tailrace.testing.clock import VirtualClock

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


class Pending:
    """A request that was sent, and whose reply may be waited for."""

    def __init__(
        self, connection: http.client.HTTPConnection, clock: VirtualClock | None = None
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._reply: Reply | None = None

    @property
    def is_open(self) -> bool:
        """Whether its connection is still held."""
        return self._connection.sock is not None

    @property
    def done(self) -> bool:
        """Whether the reply has come; on a virtual clock, by what it says now."""
        if self._clock is not None:
            self._clock.settle()
        return self._reply is not None or self._readable()

    def reply(self) -> Reply:
        """The reply. It is waited for; a virtual clock goes on, timer by timer, until it comes."""
        if self._reply is None:
            try:
                if self._clock is not None:
                    self._clock.until(self._readable, "the request has no reply")
                response = self._connection.getresponse()
                headers = Headers(response.getheaders())
                self._reply = Reply(response.status, headers, response.read())
            finally:
                self.close()
        return self._reply

    def close(self) -> None:
        """Leaves, as a client does that waits no longer."""
        self._connection.close()

    def _readable(self) -> bool:
        # Closed by whoever ended the plane: reading tells.
        if self._connection.sock is None:
            return True
        poll = select.poll()
        poll.register(self._connection.sock, select.POLLIN)
        return bool(poll.poll(0))


def send(  # one request in all its parts
    port: int,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    json_body: object = None,
    body: bytes | None = None,
    clock: VirtualClock | None = None,
) -> Pending:
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
    except BaseException:
        connection.close()
        raise
    return Pending(connection, clock)
