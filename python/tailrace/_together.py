"""Calls made together, by whoever makes them: a handler's `Scope` or a program's `Client`.

The failure prevented: five calls that cost five futures and five wake-ups, and a sibling that goes
on after the answer cannot be given any more. Calls of one `all` cross to the plane together, come
back in one wake-up, and the first strong failure ends the others (req 4.5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, overload

from tailrace._codec import UnfitError
from tailrace._missing import MISSING
from tailrace.bound import BoundCall, Source, Sourced, SourcedCall, WeakCall
from tailrace.errors import CallFailed

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tailrace._pump import Answer
    from tailrace._registry import Registered

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
Plain: TypeAlias = BoundCall[A] | WeakCall[A]
Asked: TypeAlias = BoundCall[A] | WeakCall[A] | SourcedCall[A]
Known: TypeAlias = "tuple[BoundCall[Any], Registered, WeakCall[Any] | None, bool]"
"""A call, as the plane knows it, the weak call it is in, and whether it is sourced."""

CALLS_MAX: Final = 1_024
FAILURE: Final = 3
KEPT: Final = 4
"""Which answers are which, by their length (`_pump`)."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class Together:
    """`all`, `weak` and `one`, over the three things that differ between their owners."""

    __slots__ = ()

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

        The reply's `Tailrace-Degraded` says `name`, which is the upstream's unless given: a letter,
        then letters, digits, `-` and `_`. Raises `ValueError` for another name.
        """
        if name is None:
            name = call.upstream.name
        elif not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a name: a letter, then letters, digits, - and _")
        return WeakCall(call, None if default is MISSING else default, name)

    def sourced(self, call: Plain[A]) -> SourcedCall[Sourced[A]]:
        """`call`, whose result says where it is from: `Sourced` with `value`, `source`, `age_s` and
        `reason`.

        Around a weak call it tells what failed; around any it tells an answer of the cache.
        """
        return SourcedCall(call)

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
        return await make(self, calls)

    async def one(self, call: Any) -> Any:
        """The result of one call; awaiting the call itself does the same."""
        return (await make(self, (call,)))[0]

    def ask(self, items: list[Any]) -> Coroutine[Any, Any, list[Answer]]:
        """Hands registered calls to the plane."""
        raise NotImplementedError

    def finder(self) -> Callable[[BoundCall[Any]], Registered]:
        """What finds calls as the plane knows them."""
        raise NotImplementedError

    def missing(self, name: str, reason: str) -> None:
        """Notes that a weak call failed."""
        raise NotImplementedError

    def stood_in(self, upstream: str, reason: str, age_s: int) -> None:
        """Notes that a kept answer stood in for a call that failed, weak or not."""
        raise NotImplementedError


async def make(maker: Together, calls: Sequence[Any]) -> tuple[Any, ...]:
    """Makes `calls` together and turns answers into models or errors."""
    items = []
    known = []
    find = maker.finder()
    for asked in calls:
        sourced = type(asked) is SourcedCall
        call = asked.call if sourced else asked
        if type(call) is BoundCall:
            bound, weak = call, None
        elif type(call) is WeakCall:
            bound, weak = call.call, call
        else:
            raise TypeError(_not_a_call(call))
        registered = find(bound)
        known.append((bound, registered, weak, sourced))
        items.append((registered.number, weak is None, registered.values(bound)))
    if len(items) > CALLS_MAX:
        raise ValueError(f"{len(items)} calls at once; {CALLS_MAX} is the most")
    answers = await maker.ask(items)
    if tuple in map(type, answers):
        _raise_first_failure(known, answers)
    results = [_result(maker, one, answer) for one, answer in zip(known, answers, strict=True)]
    return tuple(results)


def _raise_first_failure(known: Sequence[Known], answers: Sequence[Answer]) -> None:
    """The strong failure that ended the others, which are cancelled and not failures of theirs."""
    failed: CallFailed | None = None
    for (bound, _, weak, _), answer in zip(known, answers, strict=True):
        if weak is None and isinstance(answer, tuple) and len(answer) == FAILURE:
            reason, status, answered = answer
            if failed is None or failed.reason == "cancelled":
                failed = CallFailed(bound.upstream.name, reason, status, answered or None)
    if failed is not None:
        raise failed


def _result(maker: Together, known: Known, answer: Answer) -> Any:
    bound, registered, weak, sourced = known
    source: Source = "fresh"
    age_s, reason = 0, None
    if isinstance(answer, tuple) and len(answer) == KEPT:
        answer, source, age_s, reason = answer
    if type(answer) is bytes:
        try:
            value = registered.decode(answer)
        except UnfitError as error:
            if weak is None:
                failed = CallFailed(bound.upstream.name, "model_mismatch", 502, None)
                raise failed from error
            answer = ("model_mismatch", 502, 0)
        else:
            if reason is not None:
                maker.stood_in(bound.upstream.name, reason, age_s)
            return Sourced(value, source, age_s, reason) if sourced else value
    if isinstance(answer, tuple):
        # A strong one has raised before.
        assert weak is not None
        maker.missing(weak.name, answer[0])
        if not sourced:
            return weak.default
        return Sourced(weak.default, _stand_in(weak.default), 0, answer[0])
    if reason is not None:
        maker.stood_in(bound.upstream.name, reason, age_s)
    empty = b"" if bound.model is bytes else None  # 204
    return Sourced(empty, source, age_s, reason) if sourced else empty


def _stand_in(default: object) -> Source:
    return "missing" if default is None else "default"


def _not_a_call(call: object) -> str:
    from tailrace.upstream import Call

    if isinstance(call, Call):
        return (
            f"{call.upstream.name}.get({call.path!r}) has no model: say what it returns, "
            f"{call.upstream.name}.get({call.path!r}, Model, ...)"
        )
    return f"{type(call).__name__} is no call: give orders.get(...), users.get(...), not awaited"
