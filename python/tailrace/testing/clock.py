"""Time that stands still until a test moves it: the plane's, the fakes' and the handlers' alike.

The failure prevented: a test of a timeout, a breaker or a cached answer that waits for the wall
clock, or passes only on a fast machine. Bytes still move over real sockets, at the machine's speed;
time moves only when nothing else can: every worker and every event loop waits, and nothing that was
sent is unread. Then it jumps to the first timer that is due, of whoever it is, and so on.

Limits: one clock per process, for all planes that run on it. It knows what the planes, the fakes
and the handlers' loop and threads wait for; a handler that waits for anything else, such as a
database or a thread it has started itself, may find that time has passed meanwhile. The admin port,
draining and the lookup of names keep the machine's time.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple

PATIENCE_SECONDS: Final = 30.0
"""Of the machine's time: how long everything may take to come to rest."""
_PAUSE_SECONDS: Final = 0.001
_QUIET_ROUNDS: Final = 2
_NANOS: Final = 1_000_000_000
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StuckError(RuntimeError):
    """Time cannot move: something does not come to rest, or nothing is left to wait for."""


class Plane(Protocol):
    """What the clock asks of a plane that runs on it."""

    @property
    def workers(self) -> int: ...


class _Selector(selectors.DefaultSelector):
    """Waits for descriptors only; the clock wakes the loop when one of its timers is due."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: VirtualClock | None = None
        self.due: int | None = None
        self.waits = False
        self.turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns += 1
        if self.clock is None or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        self.due = None if timeout is None else self.clock.now + max(1, round(timeout * _NANOS))
        self.waits = True
        try:
            return super().select(None)
        finally:
            self.waits = False


class Loop(asyncio.SelectorEventLoop):
    """An event loop on the clock, or on the machine's time once it has been let go."""

    def __init__(self, clock: VirtualClock) -> None:
        self._waiting = _Selector()
        self._waiting.clock = clock
        self._clock: VirtualClock | None = clock
        self._elsewhere = 0
        self.jobs: Callable[[], int] = lambda: 0
        """How many of its handlers' threads are at work."""
        super().__init__(self._waiting)

    def time(self) -> float:
        return super().time() if self._clock is None else self._clock.now / _NANOS

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Work of a thread holds time as long as its result is awaited."""
        future = super().run_in_executor(executor, func, *args)
        self._elsewhere += 1

        def over(_: object) -> None:
            self._elsewhere -= 1

        future.add_done_callback(over)
        return future

    @property
    def turns(self) -> int:
        return self._waiting.turns

    @property
    def due(self) -> int | None:
        """When its first timer is due."""
        return self._waiting.due if self._waiting.waits else None

    def rests(self) -> bool:
        """Whether it waits, and for nothing that has come already."""
        if not self._waiting.waits or self._elsewhere or self.jobs():
            return False
        poll = select.poll()
        poll.register(self._waiting.fileno(), select.POLLIN)
        return not poll.poll(0)

    def wake(self) -> None:
        """Lets it look at the time."""
        self.call_soon_threadsafe(lambda: None)

    def let_go(self) -> None:
        """Back to the machine's time."""
        self._clock = self._waiting.clock = None
        if not self.is_closed():
            self.wake()


class VirtualClock:
    """The clock of this process's planes under test; `taken` gives it."""

    _current: VirtualClock | None = None
    _guard: Final = threading.Lock()

    def __init__(self) -> None:
        from tailrace._runtime import Clock

        self._native = Clock
        self._moving = threading.RLock()
        self._loops: list[Loop] = []
        self._planes: list[Plane] = []
        self._users = 0
        Clock.start()
        self.now: int = Clock.read()
        """Nanoseconds."""
        self.began = self.now

    @classmethod
    def taken(cls) -> VirtualClock:
        """The clock, started by the first who takes it; each taker calls `release`."""
        with cls._guard:
            if cls._current is None:
                cls._current = cls()
            cls._current._users += 1
            return cls._current

    @classmethod
    def in_use(cls) -> bool:
        return cls._current is not None

    def release(self) -> None:
        """After the last one time is the machine's again."""
        with VirtualClock._guard:
            self._users -= 1
            if not self._users:
                VirtualClock._current = None
                self._native.stop()

    def loop(self) -> Loop:
        """A new event loop on this clock."""
        made = Loop(self)
        with self._moving:
            self._loops.append(made)
        return made

    @contextmanager
    def runs(self, plane: Plane) -> Iterator[None]:
        """Time waits for the workers of `plane` too."""
        with self._moving:
            self._planes.append(plane)
        try:
            yield
        finally:
            with self._moving:
                self._planes.remove(plane)

    def let_go(self, loops: Sequence[Loop]) -> None:
        """From here on these go by the machine's time, so that they can end."""
        with self._moving:
            self._loops = [loop for loop in self._loops if loop not in loops]
        for loop in loops:
            loop.let_go()

    def settle(self) -> None:
        """Returns when nothing can happen before time moves."""
        with self._moving:
            end = time.monotonic() + PATIENCE_SECONDS
            quiet = 0
            while quiet < _QUIET_ROUNDS:
                before = self._turns()
                if self._rest() and self._workers_rest() and self._rest():
                    quiet = quiet + 1 if self._turns() == before else 0
                else:
                    quiet = 0
                if time.monotonic() > end:
                    raise StuckError(f"time cannot move: {self._restless()}")
                if quiet < _QUIET_ROUNDS:
                    time.sleep(_PAUSE_SECONDS)

    def advance(self, nanos: int) -> None:
        """Moves time, stopping at every timer on the way, and waits until all has settled."""
        with self._moving:
            end = self.now + nanos
            while True:
                self.settle()
                due = self._due()
                if due is None or due >= end:
                    break
                self._move(due)
            self._move(end)
            self.settle()

    def until(self, ready: Callable[[], bool], what: str) -> None:
        """Moves time from timer to timer until `ready()`."""
        while True:
            with self._moving:
                self.settle()
                if ready():
                    return
                due = self._due()
                if due is None:
                    raise StuckError(f"{what}, and no timer is left that could change that")
                self._move(due)

    def _move(self, to: int) -> None:
        self.now = max(self.now, to)
        self._native.advance(self.now)
        for loop in self._live():
            loop.wake()

    def _due(self) -> int | None:
        found = [self._native.next(), *(loop.due for loop in self._live())]
        return min((due for due in found if due is not None), default=None)

    def _live(self) -> list[Loop]:
        self._loops = [loop for loop in self._loops if not loop.is_closed()]
        return self._loops

    def _turns(self) -> list[int]:
        """Changes with whatever a loop or a worker does."""
        return [self._native.reads(), *(loop.turns for loop in self._live())]

    def _rest(self) -> bool:
        return all(loop.rests() for loop in self._live())

    def _workers_rest(self) -> bool:
        return self._native.settle(sum(plane.workers for plane in self._planes), PATIENCE_SECONDS)

    def _restless(self) -> str:
        busy = sum(not loop.rests() for loop in self._live())
        if not busy:
            return f"requests and answers did not come to rest within {PATIENCE_SECONDS:g} s"
        return (
            f"{busy} event loop or loops are at work since {PATIENCE_SECONDS:g} s: does a function"
            " of a route, or a handler, block or never end?"
        )


def at_work(unsettled: int, work: Any, wait: Any) -> int:
    """How many of `unsettled` jobs run: those whose thread does not wait for a call.

    `work` and `wait` are the code of the threads' main function and of the wait for a call.
    """
    if not unsettled:
        return 0
    waits = 0
    for frame in sys._current_frames().values():
        waiting, threads_own = False, False
        step: FrameType | None = frame
        while step is not None:
            if step.f_code is wait:
                future = step.f_locals.get("future")
                waiting = future is not None and not future.done()
            threads_own = threads_own or step.f_code is work
            step = step.f_back
        waits += waiting and threads_own
    return unsettled - waits
