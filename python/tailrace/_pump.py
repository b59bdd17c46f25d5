"""Between an event loop and the plane: one descriptor, one reader, whole batches.

The failure prevented: a thread wake-up per call, and a future that nobody ends. Calls that code
submits one by one during one turn of the loop cross together when the turn is over, and a client's
batch at once; completions that have come
meanwhile are taken by one wake-up. What is awaited is the loop's own future, so that
`asyncio.timeout`, `TaskGroup`, context variables and cancellation work as ever; cancelling it ends
the call in the plane (RELIABILITY A04).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from tailrace._inbound import NOBODY, Caller
from tailrace.bound import Source

if TYPE_CHECKING:
    from tailrace._loop import PlaneSelector

Item: TypeAlias = tuple[int, bool, list[bytes | None]]
"""Number of the registered call, whether it is strong, its values."""
Failure: TypeAlias = tuple[str, int, int]
"""Reason, the status it gives a reply, the status the upstream answered with or 0."""
Kept: TypeAlias = tuple[bytes | None, Source, int, str | None]
"""An answer that is from the cache: `cached` or `stale`, its age in seconds, and why the call that
was made has failed, when it has."""
Answer: TypeAlias = bytes | Failure | Kept | None
Flow: TypeAlias = tuple[int, int]
"""Ticket and token of a stream."""
Wish: TypeAlias = tuple[int, list[bytes | None], float, int, Caller]
"""Number of a stream's registered call, its values, seconds, most bytes or 0, whom it is for."""

Compute: TypeAlias = Callable[[int, list[bytes | None], str], list[bytes | str]]
"""What makes the computed fields of one request, of its view's index, its values and its id: JSON,
or the code of a reason, for each."""

START: Final = 0
LANDED: Final = 1
CANCEL: Final = 2
HEAD: Final = 3
CHUNK: Final = 4
OVER: Final = 5

_generation = [0]
"""Forks between the first process of this program and this one."""


def _forked() -> None:
    _generation[0] += 1


os.register_at_fork(after_in_child=_forked)


class Bridge(Protocol):
    """The plane's end, as the native module has it."""

    @property
    def descriptor(self) -> int: ...
    @property
    def workers(self) -> int: ...
    def register(self, blueprint: bytes) -> int: ...
    def take(self, compute: Compute | None = None) -> list[tuple[Any, ...]]: ...
    def turn(
        self,
        seconds: float,
        other: int,
        compute: Compute | None = None,
        asked: tuple[Any, Any] | None = None,
    ) -> tuple[list[tuple[Any, ...]], bool]: ...
    def calls(self, ticket: int, token: int, calls_: list[Item]) -> None: ...
    def alone(
        self, ticket: int, token: int, calls_: list[Item], seconds: float, caller: Caller
    ) -> bool: ...
    def stream(self, ticket: int, token: int, asked: Wish) -> bool: ...
    def grant(self, ticket: int, amount: int) -> None: ...
    def withdraw(self, ticket: int, token: int) -> None: ...
    def reply(
        self, ticket: int, view: int, body: bytes, degraded: list[tuple[str, str]]
    ) -> None: ...
    def fail(self, ticket: int, view: int, upstream: str, reason: str) -> None: ...
    def crash(self, ticket: int, view: int) -> None: ...
    def collected(self, generation: int, nanoseconds: int) -> None: ...
    def cancelled(self, ticket: int, view: int) -> None: ...
    def flush(self) -> None: ...
    def waiting(self) -> tuple[float, int]: ...
    def late(self, after: float, seconds: float) -> bool: ...
    def stalled(self, view: int) -> None: ...
    def overdue(self, view: int) -> None: ...


def forks() -> int:
    """Forks between the first process of this program and this one."""
    return _generation[0]


def refuse_to_go_on() -> None:
    """A forked child came back into a loop of ours, which it shares with its parent."""
    sys.stderr.write(
        "error: a handler forked and its child returned; the child ends here\n"
        "  start programs with subprocess or asyncio.create_subprocess_exec, or use the `spawn`\n"
        "  start method of multiprocessing\n"
    )
    sys.stderr.flush()
    os._exit(70)


class ForkedError(RuntimeError):
    """The process forked after the plane had started; its threads stayed with the parent."""

    def __init__(self) -> None:
        super().__init__(
            "this process was forked after the plane had started, and its threads stayed with the "
            "parent: start it in the child, or use the `spawn` start method of multiprocessing"
        )


class Sink(Protocol):
    """Who reads a stream."""

    flow: Flow

    def put(self, came: Any, *, over: bool) -> None: ...


class Pump:
    """Moves batches for one event loop.

    `start` and `cancel` are for requests to handlers; `compute` makes computed fields, and is
    called by the plane.
    """

    def __init__(
        self,
        bridge: Bridge,
        loop: asyncio.AbstractEventLoop,
        start: Callable[..., None] | None = None,
        cancel: Callable[[int], None] | None = None,
        *,
        compute: Compute | None = None,
        selector: PlaneSelector | None = None,
    ) -> None:
        self.bridge = bridge
        self._selector = selector
        self.loop = loop
        self._start = start
        self._cancel = cancel
        self._compute = compute
        self._waiting: dict[int, asyncio.Future[list[Answer]]] = {}
        self._flows: dict[int, Sink] = {}
        self._tokens = count(1)
        self._workers = bridge.workers
        self._forks = _generation[0]
        # A loop that waits in the plane hands over what was sent whenever it waits.
        self._flushing = selector is not None
        if selector is None:
            loop.add_reader(bridge.descriptor, self._drain)
        else:
            selector.deliver, selector.compute = self.deliver, compute

    def close(self) -> None:
        """Stops listening; calls that are still awaited are cancelled."""
        if self._selector is not None:
            self._selector.deliver = None
            self.bridge.flush()
        elif not self.forked:  # A child must not touch the selector it shares.
            self.loop.remove_reader(self.bridge.descriptor)
        for future in self._waiting.values():
            future.cancel()
        for sink in self._flows.values():
            sink.put(("cancelled", 502, 0), over=True)
        self._flows.clear()

    running = staticmethod(asyncio.get_running_loop)
    """The loop that runs now."""

    @property
    def forked(self) -> bool:
        return self._forks != _generation[0]

    def check(self) -> None:
        """Refuses to work in a forked child."""
        if self.forked:
            raise ForkedError

    def ask(self, ticket: int, items: list[Item]) -> Coroutine[Any, Any, list[Answer]]:
        """Calls of the conversation `ticket`, answered together."""
        self.check()
        token = next(self._tokens)
        self.bridge.calls(ticket, token, items)
        self.schedule()
        return self._answers(ticket, token)

    def ask_alone(
        self, items: list[Item], seconds: float, caller: Caller = NOBODY
    ) -> Coroutine[Any, Any, list[Answer]] | None:
        """Calls of no conversation, after a `check`; `None` when there are too many already.

        Without a request id the plane makes one.
        """
        token = next(self._tokens)
        ticket = (token % self._workers) << 48 | token
        if not self.bridge.alone(ticket, token, items, seconds, caller):
            return None
        if len(items) > 1 and not self._flushing:
            # These are a batch already: not worth another turn of the loop.
            self.bridge.flush()
        else:
            self.schedule()
        return self._answers(ticket, token)

    def open_flow(self, sink: Sink, asked: Wish) -> bool:
        """Begins a stream; false when there are too many conversations already."""
        self.check()
        token = next(self._tokens)
        ticket = (token % self._workers) << 48 | token
        if not self.bridge.stream(ticket, token, asked):
            return False
        sink.flow = (ticket, token)
        self._flows[token] = sink
        self.schedule()
        return True

    def grant(self, flow: Flow, amount: int) -> None:
        """The plane may send so many bytes more."""
        if not self.forked:
            self.bridge.grant(flow[0], amount)
            self.schedule()

    def close_flow(self, flow: Flow) -> None:
        """Nobody reads this stream any more."""
        if self._flows.pop(flow[1], None) is not None and not self.forked:
            self.bridge.withdraw(*flow)
            self.schedule()

    async def _answers(self, ticket: int, token: int) -> list[Answer]:
        future: asyncio.Future[list[Answer]] = self.loop.create_future()
        self._waiting[token] = future
        try:
            return await future
        finally:
            if self._waiting.pop(token, None) is not None and not self.forked:
                self.bridge.withdraw(ticket, token)
                self.schedule()

    def schedule(self) -> None:
        """Everything sent in this turn of the loop crosses after it."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self.bridge.flush()

    def _drain(self) -> None:
        if not self.forked:
            self.deliver(self.bridge.take(self._compute))

    def deliver(self, events: list[tuple[Any, ...]]) -> None:
        """Starts, wakes and cancels what the plane says."""
        for event in events:
            kind = event[0]
            if kind == LANDED:
                future = self._waiting.pop(event[1], None)
                if future is not None and not future.done():
                    future.set_result(event[2])
            elif kind == START and self._start is not None:
                self._start(*event[1:])
            elif kind == CANCEL and self._cancel is not None:
                self._cancel(event[1])
            elif kind >= HEAD:
                self._flowed(*event)

    def _flowed(self, kind: int, token: int, came: Any) -> None:
        sink = self._flows.get(token)
        if sink is not None:
            if kind == OVER:
                del self._flows[token]
            sink.put(came, over=kind == OVER)
