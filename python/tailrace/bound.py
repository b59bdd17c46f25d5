"""Calls that Python code makes: a template of an upstream, a model and values.

The failure prevented: a URL that was put together by hand, and a call that leaves the process
outside its upstream's limits. `orders.get("/orders/{id}", Order, id=order_id)` says what to ask and
what to get; nothing happens until it is awaited, inside a handler or through a `tailrace.Client`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from tailrace.typing import Duration
    from tailrace.upstream import Upstream

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class BoundCall(Generic[Result_co]):
    """One call with its values. Awaiting it makes it; awaiting it twice makes it twice."""

    upstream: Upstream
    path: str
    model: Any
    query: Mapping[str, str]
    headers: Mapping[str, str]
    timeout: Duration | None
    values: Mapping[str, Any]

    def __await__(self) -> Generator[Any, None, Result_co]:
        caller: Caller = current()
        return caller.one(self).__await__()

    def __repr__(self) -> str:
        return f"{self.upstream.name}.get({self.path!r})"


@dataclass(frozen=True, slots=True, eq=False)
class WeakCall(Generic[Result_co]):
    """A call whose failure gives `default` and is told in the reply (req 8.1)."""

    call: BoundCall[Result_co]
    default: Any
    name: str

    def __await__(self) -> Generator[Any, None, Result_co]:
        caller: Caller = current()
        return caller.one(self).__await__()


class Caller(Protocol):
    """Whoever makes the calls of the code that runs now: a handler's scope."""

    async def one(self, call: Any) -> Any: ...


CALLER: ContextVar[Caller | None] = ContextVar("tailrace_caller", default=None)


def current() -> Caller:
    """The scope of the handler that runs now."""
    found = CALLER.get()
    if found is None:
        message = (
            "a call was awaited outside a handler: inside one it is made within the request's "
            "deadline; elsewhere use `async with tailrace.Client(upstream) as client: "
            "await client.get(upstream, ...)`"
        )
        raise RuntimeError(message)
    return found
