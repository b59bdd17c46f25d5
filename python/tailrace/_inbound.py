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
    """One request: its id, its time, and what its calls left out."""

    __slots__ = ("caller", "deadline", "degraded", "request_id", "stale")

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
        self.stale: dict[str, tuple[str, int]] = {}
        """Upstreams for whose failed calls a kept answer stood in: reason and age in seconds."""

    def missing(self, name: str, reason: str) -> None:
        """Notes that a weak call failed."""
        if len(self.degraded) < DEGRADED_MAX:
            self.degraded.append((name, reason))

    def stood_in(self, upstream: str, reason: str, age_s: int) -> None:
        """Notes that a kept answer stood in for a call that failed, weak or not."""
        if len(self.stale) < DEGRADED_MAX:
            self.stale.setdefault(upstream, (reason, age_s))

    def told(self) -> str:
        """The value of `Tailrace-Degraded`, as the plane writes it for a handler; mostly none.

        An upstream that a failed weak call names already is not named twice (req 8.3).
        """
        if not self.degraded and not self.stale:
            return ""
        words = [f"{name};reason={reason}" for name, reason in self.degraded]
        named = {name for name, _ in self.degraded}
        for name, (reason, age_s) in self.stale.items():
            if name not in named:
                words.append(f"{name};reason={reason};served=stale;age={age_s}")
        return ", ".join(words)


INBOUND: ContextVar[Inbound | None] = ContextVar("tailrace_inbound", default=None)
