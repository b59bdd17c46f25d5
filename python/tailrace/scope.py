"""What a handler has of its request: its time, its id, and the way to make calls together.

The failure prevented: calls that outlive the request that made them. Everything a handler calls
runs within the request's deadline, draws on one purse of extra attempts, and is dropped when the
request ends, whatever the handler does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tailrace._missing import MISSING
from tailrace.bound import BoundCall, WeakCall
from tailrace.errors import CallFailed

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tailrace._pump import Answer, Pump
    from tailrace._registry import Registry

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
Asked = BoundCall[A] | WeakCall[A]

CALLS_MAX = 1_024
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class Scope:
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

    @overload
    def weak(
        self, call: BoundCall[A], *, default: B, name: str | None = None
    ) -> WeakCall[A | B]: ...

    @overload
    def weak(self, call: BoundCall[A], *, name: str | None = None) -> WeakCall[A | None]: ...

    def weak(
        self, call: BoundCall[Any], *, default: Any = MISSING, name: str | None = None
    ) -> WeakCall[Any]:
        """`call`, whose failure gives `default` (None) and degrades the reply.

        The reply's `Tailrace-Degraded` says `name`, which is the upstream's unless given.
        """
        shown = call.upstream.name if name is None else name
        if not _NAME.fullmatch(shown):
            raise ValueError(f"{shown!r} cannot be a name: a letter, then letters, digits, - and _")
        return WeakCall(call, None if default is MISSING else default, shown)

    @overload
    def all(self, a: Asked[A], b: Asked[B], /) -> Coroutine[Any, Any, tuple[A, B]]: ...
    @overload
    def all(
        self, a: Asked[A], b: Asked[B], c: Asked[C], /
    ) -> Coroutine[Any, Any, tuple[A, B, C]]: ...
    @overload
    def all(
        self, a: Asked[A], b: Asked[B], c: Asked[C], d: Asked[D], /
    ) -> Coroutine[Any, Any, tuple[A, B, C, D]]: ...
    @overload
    def all(
        self, a: Asked[A], b: Asked[B], c: Asked[C], d: Asked[D], e: Asked[E], /
    ) -> Coroutine[Any, Any, tuple[A, B, C, D, E]]: ...
    @overload
    def all(self, *calls: Asked[A]) -> Coroutine[Any, Any, tuple[A, ...]]: ...

    async def all(self, *calls: Any) -> Any:
        """The results of `calls`, submitted together and come back in one wake-up.

        The first strong call that fails ends the others and raises `CallFailed`.
        """
        return tuple(await make(self, calls))

    async def one(self, call: Any) -> Any:
        """The result of one call; awaiting the call itself does the same."""
        return (await make(self, (call,)))[0]

    def wait(self, call: Asked[A]) -> A:
        """The result of `call`, from a handler with `threads=`; blocks its thread only."""
        import asyncio

        future = asyncio.run_coroutine_threadsafe(self.one(call), self._pump.loop)
        try:
            result: A = future.result()
        finally:
            future.cancel()
        return result

    async def ask(self, items: list[Any]) -> list[Answer]:
        """Hands registered calls to the plane."""
        return await self._pump.ask(self._ticket, items)

    def registered(self, call: BoundCall[Any]) -> Any:
        return self._registry.find(call)

    def missing(self, name: str, reason: str) -> None:
        """Notes that a weak call failed."""
        self.degraded.append((name, reason))


async def make(maker: Any, calls: Sequence[Any]) -> list[Any]:
    """Makes `calls` together and turns answers into models or errors."""
    items = []
    known = []
    for call in calls:
        weak = type(call) is WeakCall
        if not weak and type(call) is not BoundCall:
            raise TypeError(_not_a_call(call))
        bound = call.call if weak else call
        registered = maker.registered(bound)
        known.append((bound, registered, call if weak else None))
        items.append((registered.number, not weak, registered.values(bound.values)))
    if len(items) > CALLS_MAX:
        raise ValueError(f"{len(items)} calls at once; {CALLS_MAX} is the most")
    answers = await maker.ask(items)
    _raise_first_failure(known, answers)
    return [
        _result(maker, bound, registered, weak, answer)
        for (bound, registered, weak), answer in zip(known, answers, strict=True)
    ]


def _raise_first_failure(known: Sequence[Any], answers: Sequence[Answer]) -> None:
    """The strong failure that ended the others, which are cancelled and not failures of theirs."""
    failed: CallFailed | None = None
    for (bound, _, weak), answer in zip(known, answers, strict=True):
        if weak is None and isinstance(answer, tuple):
            reason, status, answered = answer
            if failed is None or failed.reason == "cancelled":
                failed = CallFailed(bound.upstream.name, reason, status, answered or None)
    if failed is not None:
        raise failed


def _result(
    maker: Any, bound: BoundCall[Any], registered: Any, weak: WeakCall[Any] | None, answer: Answer
) -> Any:
    from tailrace._codec import UnfitError

    if type(answer) is bytes:
        try:
            return registered.decode(answer)
        except UnfitError as error:
            if weak is None:
                failed = CallFailed(bound.upstream.name, "model_mismatch", 502, None)
                raise failed from error
            answer = ("model_mismatch", 502, 0)
    if isinstance(answer, tuple):
        # A strong one has raised before.
        assert weak is not None
        maker.missing(weak.name, answer[0])
        return weak.default
    return b"" if bound.model is bytes else None  # 204


def _not_a_call(call: object) -> str:
    from tailrace.upstream import Call

    if isinstance(call, Call):
        return (
            f"{call.upstream.name}.get({call.path!r}) has no model: say what it returns, "
            f"{call.upstream.name}.get({call.path!r}, Model, ...)"
        )
    return f"{type(call).__name__} is no call: give orders.get(...), users.get(...), not awaited"
