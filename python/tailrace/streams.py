"""A body that is read piece by piece: what does not fit into memory, or is not JSON.

The failure prevented: a download that is held whole, or that is read faster than it is used. The
plane holds at most a window of it; when the reader is slow the plane stops reading its socket, and
the upstream feels it. What is left early closes the connection: half an answer is never reused.

Such a call is governed up to the answer's head (throttle, rate, bulkhead, breaker, timeout) and
bounded in time and bytes after it. It is not retried or hedged, and no model is checked.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from tailrace._inbound import INBOUND, NOBODY
from tailrace.errors import CallFailed
from tailrace.quantities import QuantityError, duration_ms, size_bytes

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from tailrace._pump import Flow, Pump
    from tailrace.bound import BoundCall
    from tailrace.client import Client
    from tailrace.typing import Duration, Size

WINDOW: Final = 256 * 1024
"""Bytes that the plane may hold ahead of the reader, as crates/tailrace-plane/src/bridge/stream.rs
has it."""


class Stream:
    """An answer whose body is read with `async for chunk in answer`, once."""

    def __init__(self, client: Client, call: BoundCall[bytes], seconds: float, most: int) -> None:
        self._client = client
        self._call = call
        self._seconds = seconds
        self._most = most
        self._reader: Reader | None = None
        self.status = 0
        """The upstream's, from 200 to 299."""
        self.content_type: str | None = None
        self.length: int | None = None
        """Bytes of the whole body, when the upstream said so beforehand."""

    async def __aenter__(self) -> Stream:
        client = self._client
        if self._reader is not None:
            raise RuntimeError("this stream was opened before; call client.stream(...) again")
        registered = client.finder()(self._call)
        pump = client.pump()
        inbound = INBOUND.get()
        seconds, told = self._seconds, NOBODY
        if inbound is not None:
            seconds, told = client.within(seconds, inbound, pump), inbound.caller
        values = registered.values(self._call)
        reader = Reader(pump)
        self._reader = reader
        asked = (registered.number, values, seconds, self._most, told)
        if not pump.open_flow(reader, asked):
            raise CallFailed(self._call.upstream.name, "bulkhead_full", 503, None)
        try:
            self.status, self.content_type, self.length = await self._next()
        except BaseException:
            reader.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._reader is not None:
            self._reader.close()

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        if not self.status:
            raise RuntimeError("this stream is not open: async with client.stream(...) as answer")
        chunk: bytes | None = await self._next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def read(self) -> bytes:
        """The rest of the body at once; `body_max` bounds it. Raises `CallFailed`."""
        return b"".join([chunk async for chunk in self])

    async def _next(self) -> Any:
        """The head, a piece, or None after the last one."""
        assert self._reader is not None
        came = await self._reader.take()
        if type(came) is tuple and type(came[0]) is str:
            reason, status, answered = came
            raise CallFailed(self._call.upstream.name, reason, status, answered or None)
        return came


class Reader:
    """What has come of one stream and was not taken yet: a window at most."""

    __slots__ = ("_came", "_over", "_owed", "_pump", "_waiter", "flow")

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self.flow: Flow = (0, 0)
        self._came: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._owed = 0

    def put(self, came: Any, *, over: bool) -> None:
        """Something has come: the head, a piece, None as the end, or a failure."""
        self._over = self._over or over
        self._came.append(came)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> Any:
        """The next of what comes; the last again, once it is over."""
        while not self._came:
            if self._waiter is not None:
                raise RuntimeError("two tasks read one stream; give it to one of them")
            self._waiter = self._pump.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._over and len(self._came) == 1:
            return self._came[0]
        came = self._came.popleft()
        if type(came) is bytes:
            self._owed += len(came)
            if self._owed >= WINDOW // 2 and not self._over:
                self._pump.grant(self.flow, self._owed)
                self._owed = 0
        return came

    def close(self) -> None:
        """Nobody reads any more: the plane closes the connection, unless all has come."""
        if not self._over:
            self._over = True
            self._pump.close_flow(self.flow)
        self._came.clear()
        self._came.append(("cancelled", 502, 0))


def bounds(deadline: Duration | float, body_max: Size | None) -> tuple[float, int]:
    """Seconds, and bytes or 0 for what the upstream says."""
    try:
        seconds = deadline if isinstance(deadline, float) else duration_ms(deadline) / 1000
    except QuantityError as error:
        raise ValueError(f"deadline of the stream: {error} ({error.hint})") from None
    try:
        return seconds, 0 if body_max is None else size_bytes(body_max)
    except QuantityError as error:
        raise ValueError(f"body_max of the stream: {error} ({error.hint})") from None
