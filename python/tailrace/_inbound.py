"""The request that an ASGI app serves now, as its calls see it.

The failure prevented: a call that outlives the request it was made for, under another request id.
`tailrace.asgi.Middleware` sets it for the task that serves the request; tasks that it starts
inherit it, as they do every context variable. Without a middleware there is none, and a client's
calls have the client's own deadline.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, TypeAlias

DEGRADED_MAX: Final = 32
"""Names that `Tailrace-Degraded` tells of one request; a header has its limits, too."""


Caller: TypeAlias = tuple[bytes, bytes, bytes]
"""Request id, `traceparent` and `tracestate` of whom a call is made for; empty where unknown."""
NOBODY: Final[Caller] = (b"", b"", b"")


class Inbound:
    """One request: its id, its time, and what its weak calls left out."""

    __slots__ = ("caller", "deadline", "degraded", "request_id")

    def __init__(
        self, request_id: bytes, deadline: float | None, trace: tuple[bytes, bytes] = (b"", b"")
    ) -> None:
        self.request_id = request_id
        self.caller: Caller = (request_id, *trace)
        """What its calls are told of it."""
        self.deadline = deadline
        """On the loop's clock; None when nobody said one."""
        self.degraded: list[tuple[str, str]] = []
        """Weak calls that failed so far: name and reason."""

    def missing(self, name: str, reason: str) -> None:
        """Notes that a weak call failed."""
        if len(self.degraded) < DEGRADED_MAX:
            self.degraded.append((name, reason))


INBOUND: ContextVar[Inbound | None] = ContextVar("tailrace_inbound", default=None)
