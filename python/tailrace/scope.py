"""What a handler has of its request: its time, its id, and the way to make calls together.

The failure prevented: calls that outlive the request that made them. Everything a handler calls
runs within the request's deadline, draws on one purse of extra attempts, and is dropped when the
request ends, whatever the handler does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tailrace._together import Together

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tailrace._pump import Answer, Pump
    from tailrace._registry import Registered, Registry
    from tailrace._together import Asked
    from tailrace.bound import BoundCall

A = TypeVar("A")


class Scope(Together):
    """One request in a handler."""

    __slots__ = ("_pump", "_registry", "_ticket", "deadline", "degraded", "request_id")

    def __init__(
        self, pump: Pump, registry: Registry, ticket: int, request_id: str, deadline: float
    ) -> None:
        self._pump = pump
        self._registry = registry
        self._ticket = ticket
        self.request_id = request_id
        """The id that logs and upstreams see."""
        self.deadline = deadline
        """When the client is told 504, on the loop's clock: `asyncio.timeout_at(scope.deadline)`"""
        self.degraded: list[tuple[str, str]] = []
        """Weak calls that failed so far: name and reason."""

    @property
    def remaining(self) -> float:
        """Seconds left until the deadline; 0 when it has passed."""
        return max(0.0, self.deadline - self._pump.loop.time())

    def wait(self, call: Asked[A]) -> A:
        """The result of `call`, from a handler with `threads=`; blocks its thread only."""
        import asyncio

        future = asyncio.run_coroutine_threadsafe(self.one(call), self._pump.loop)
        try:
            result: A = future.result()
        finally:
            future.cancel()
        return result

    def ask(self, items: list[Any]) -> Coroutine[Any, Any, list[Answer]]:
        """Hands registered calls to the plane."""
        return self._pump.ask(self._ticket, items)

    def finder(self) -> Callable[[BoundCall[Any]], Registered]:
        """What finds calls as the plane knows them."""
        return self._registry.find

    def missing(self, name: str, reason: str) -> None:
        """Notes that a weak call failed."""
        self.degraded.append((name, reason))

    def stood_in(self, upstream: str, reason: str, age_s: int) -> None:
        """Nothing: the plane has seen it itself (`request/handled.rs`)."""
