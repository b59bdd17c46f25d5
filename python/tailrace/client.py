"""The governed client for any asyncio program: the same calls and limits, without a service.

The failure prevented: a second set of timeouts, pools and retries beside those of the services. A
client runs the plane's workers without a port; what it calls goes through `call.rs` like a view's
parts: deadline, throttle, bulkhead, retry, hedge, model.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from tailrace._inbound import INBOUND
from tailrace._source import caller
from tailrace._together import Together, make
from tailrace.bound import NOTHING, Asked, BoundCall

if TYPE_CHECKING:
    from types import TracebackType

    from tailrace._inbound import Inbound
    from tailrace._pump import Answer, Pump
    from tailrace._registry import Registered, Registry
    from tailrace._together import Asked as AskedCall
    from tailrace.policies import Tracing
    from tailrace.streams import Stream
    from tailrace.typing import Duration, Size, Value
    from tailrace.upstream import Upstream

Result = TypeVar("Result")

DEADLINE_DEFAULT: Final = "10s"


class Client(Together):
    """Calls of `upstreams` from one event loop.

    `deadline` bounds each call with its retries (default 10s; the upstream's `timeout` bounds each
    as well, and inside `tailrace.asgi.Middleware` what is left of the request's time), `workers`
    the threads that make them (default 1, which makes some ten thousand calls a second). Use it as
    `async with`, once per program, not once per call. `tracing` says where traces of its calls go.
    """

    def __init__(
        self,
        *upstreams: Upstream,
        deadline: Duration = DEADLINE_DEFAULT,
        workers: int = 1,
        tracing: Tracing | None = None,
    ) -> None:
        self._declared = upstreams
        self._deadline = deadline
        self._workers = workers
        self._tracing = tracing
        self._place = caller()
        self._engine: Any = None
        self._pump: Pump | None = None
        self._registry: Registry | None = None
        self._seconds = 0.0

    async def __aenter__(self) -> Client:
        import asyncio

        from tailrace._pump import Pump
        from tailrace._registry import Registry
        from tailrace._runtime import engine

        if self._pump is not None:
            raise RuntimeError("this client is open already; open it once and share it")
        blueprint = self._blueprint()
        self._engine = engine(blueprint)
        bridge = self._engine.bridge
        rows = {row["name"]: row for row in blueprint["upstreams"]}
        self._registry = Registry(bridge, rows, _unknown_upstream)
        self._pump = Pump(bridge, asyncio.get_running_loop())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        from tailrace._runtime import end_engine

        pump, engine = self._pump, self._engine
        self._pump = self._engine = None
        if pump is not None:
            pump.close()
            if not pump.forked:
                await pump.loop.run_in_executor(None, end_engine, engine)

    @overload
    async def get(
        self,
        upstream: Upstream,
        path: str,
        model: type[Result],
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,  # noqa: ASYNC109
        **values: Value,
    ) -> Result: ...

    @overload
    async def get(
        self,
        upstream: Upstream,
        path: str,
        model: Any,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,  # noqa: ASYNC109
        **values: Value,
    ) -> Any: ...

    async def get(
        self,
        upstream: Upstream,
        path: str,
        model: Any,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,  # noqa: ASYNC109 - the call's own, kept by the plane
        **values: Value,
    ) -> Any:
        """A GET of `upstream`, as the model; `path` is a template and `values` fill it.

        Raises `CallFailed`.
        """
        plain = query is None and headers is None
        asked = NOTHING if plain else Asked(query=query, headers=headers)
        call: BoundCall[Any] = BoundCall(upstream, "GET", path, model, asked, timeout, values)
        return (await make(self, (call,)))[0]

    async def call(self, call: AskedCall[Result]) -> Result:
        """Any call: `await client.call(orders.post("/orders", Order, json=draft))`.

        Several at once: `all`, as in a handler. Raises `CallFailed`.
        """
        result: Result = (await make(self, (call,)))[0]
        return result

    def stream(
        self,
        upstream: Upstream,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        deadline: Duration | None = None,
        body_max: Size | None = None,
        **values: Value,
    ) -> Stream:
        """A GET whose body comes in pieces: `async with client.stream(...) as answer`.

        `timeout` (the upstream's) bounds the wait for the answer's head, `deadline` (the client's)
        the whole, `body_max` (the upstream's) its bytes. It is not retried, hedged or checked
        against a model. Raises `CallFailed` on entry and while it is read, `ValueError` for a
        deadline or size without a unit.
        """
        from tailrace.streams import Stream, bounds

        asked = Asked(query=query, headers=headers)
        call: BoundCall[bytes] = BoundCall(upstream, "GET", path, bytes, asked, timeout, values)
        seconds, most = bounds(self._seconds if deadline is None else deadline, body_max)
        return Stream(self, call, seconds, most)

    def metrics(self) -> str:
        """What a service's `/metrics` says of the upstreams."""
        self._opened()
        text: bytes = self._engine.metrics()
        return text.decode()

    @property
    def is_open(self) -> bool:
        """Whether calls can be made: between the two ends of `async with`."""
        return self._pump is not None

    def finder(self) -> Callable[[BoundCall[Any]], Registered]:
        """What finds calls as the plane knows them."""
        self._opened()
        assert self._registry is not None
        return self._registry.find

    def ask(self, items: list[Any]) -> Coroutine[Any, Any, list[Answer]]:
        """Hands registered calls to the plane."""
        pump = self.pump()
        inbound = INBOUND.get()
        if inbound is None:
            asked = pump.ask_alone(items, self._seconds)
        else:
            seconds = self.within(self._seconds, inbound, pump)
            asked = pump.ask_alone(items, seconds, inbound.caller)
        return _too_many(items) if asked is None else asked

    @staticmethod
    def within(seconds: float, inbound: Inbound, pump: Pump) -> float:
        """What a call has that would have `seconds`: never more than its request."""
        if inbound.deadline is None:
            return seconds
        return max(0.0, min(seconds, inbound.deadline - pump.loop.time()))

    def missing(self, name: str, reason: str) -> None:
        """Notes that a weak call failed, for the reply of the request it was made in."""
        inbound = INBOUND.get()
        if inbound is not None:
            inbound.missing(name, reason)

    def stood_in(self, upstream: str, reason: str, age_s: int) -> None:
        """Notes that a kept answer stood in, for the reply of the request it was made in."""
        inbound = INBOUND.get()
        if inbound is not None:
            inbound.stood_in(upstream, reason, age_s)

    def pump(self) -> Pump:
        """The way to the plane from the loop that runs now, which must be the client's."""
        pump = self._opened()
        if pump.running() is not pump.loop:
            message = (
                "this client was opened on another event loop; open one per loop: "
                "async with tailrace.Client(...) as client"
            )
            raise RuntimeError(message)
        return pump

    def _opened(self) -> Pump:
        if self._pump is None:
            message = "this client is not open: async with tailrace.Client(...) as client"
            raise RuntimeError(message)
        self._pump.check()
        return self._pump

    def _blueprint(self) -> dict[str, Any]:
        """Upstreams without views, checked as a service's are."""
        from tailrace._lower import lower_client
        from tailrace.quantities import QuantityError, duration_ms

        blueprint = lower_client(self._declared, self._place, self._tracing)
        try:
            self._seconds = duration_ms(self._deadline) / 1000
        except QuantityError as error:
            raise ValueError(f"deadline of the client: {error} ({error.hint})") from None
        if isinstance(self._workers, bool) or not 1 <= self._workers <= 64:
            raise ValueError(f"a client has 1 to 64 workers, not {self._workers!r}")
        blueprint["listen"] = {"workers": self._workers}
        return blueprint


def _unknown_upstream(name: str) -> str:
    return f"give it to the client: tailrace.Client({name}, ...)"


async def _too_many(items: list[Any]) -> list[Answer]:
    return [("bulkhead_full", 503, 0) for _ in items]
