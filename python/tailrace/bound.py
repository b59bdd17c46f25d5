"""Calls that Python code makes: a template of an upstream, a model and values.

The failure prevented: a URL that was put together by hand, and a call that leaves the process
outside its upstream's limits. `orders.get("/orders/{id}", Order, id=order_id)` says what to ask and
what to get; nothing happens until it is awaited, inside a handler or through a `tailrace.Client`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
)

from tailrace._missing import MISSING

if TYPE_CHECKING:
    from tailrace.typing import Duration, Method
    from tailrace.upstream import Upstream

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Source: TypeAlias = Literal["fresh", "cached", "stale", "default", "missing"]


class Asked(NamedTuple):
    """What a call sends beside its path: templates, and a JSON value."""

    json: Any = MISSING
    form: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    idempotency_key: str | None = None

    def templates(self) -> list[str]:
        """Every template but the path."""
        found = [*(self.query or {}).values(), *(self.headers or {}).values()]
        found += (self.form or {}).values()
        return [*found, self.idempotency_key] if self.idempotency_key is not None else found

    def key(self) -> tuple[Any, ...]:
        """What tells the call apart, whatever it sends as JSON."""
        parts = (self.form, self.query, self.headers)
        told = tuple(None if one is None else tuple(one.items()) for one in parts)
        return (self.json is not MISSING, self.idempotency_key, *told)


NOTHING: Final = Asked()
"""The one of all calls that send nothing but their path: told apart by identity."""


# Not frozen: one is made per call, and a frozen one is made four times as slowly.
@dataclass(slots=True, eq=False)
class BoundCall(Generic[Result_co]):
    """One call with its values. Awaiting it makes it; awaiting it twice makes it twice."""

    upstream: Upstream
    method: Method
    path: str
    model: Any
    asked: Asked
    timeout: Duration | None
    values: Mapping[str, Any]

    def __await__(self) -> Generator[Any, None, Result_co]:
        caller: Caller = current()
        return caller.one(self).__await__()

    def __repr__(self) -> str:
        return f"{self.upstream.name}.{self.method.lower()}({self.path!r})"


@dataclass(slots=True, eq=False)
class WeakCall(Generic[Result_co]):
    """A call whose failure gives `default` and is told in the reply (req 8.1)."""

    call: BoundCall[Result_co]
    default: Any
    name: str

    def __await__(self) -> Generator[Any, None, Result_co]:
        caller: Caller = current()
        return caller.one(self).__await__()


@dataclass(slots=True, frozen=True)
class Sourced(Generic[Result_co]):
    """A result that says where it is from, in the words of a view's reply (req 8.3)."""

    value: Result_co
    source: Source
    """`fresh`: the upstream answered; `cached` and `stale`: kept, within its `ttl` or past it;
    `default` and `missing`: a weak call failed, and its default or None stands in."""
    age_s: int = 0
    """How long ago a kept answer came, in whole seconds."""
    reason: str | None = None
    """Why the call that was made has failed, when something stands in for its answer."""


@dataclass(slots=True, eq=False)
class SourcedCall(Generic[Result_co]):
    """A call whose result is a `Sourced`."""

    call: BoundCall[Any] | WeakCall[Any]

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
