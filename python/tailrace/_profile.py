"""What Python's side says when somebody looks inside a running service (req 12.2).

The failure prevented: a look that stops what it looks at, or that goes on after its asker has left.
The plane asks in single steps (`admin/profile/python.rs`): the thread that makes changes answers
each at once, and what takes seconds runs in a thread of its own, which ends by itself.

*Tasks* are read from outside their loop, between two of its steps, so a handler that holds the loop
is seen too. *Processor time* is sampled: a thread takes the interpreter lock some times a second
and reads the frames of threads whose processor time has grown since. It sees them where they let go
of the lock, so long calls into C are shown at their caller, and it says what it cost itself.
*Allocations* are traced by `tracemalloc` only while asked for: that slows every allocation of
Python code, about two to four times, and says so.
"""

from __future__ import annotations

import asyncio
import gc
import json
import platform
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tailrace.bound import CALLER

if TYPE_CHECKING:
    from tailrace._host import Host

Told: TypeAlias = dict[str, Any]
TASKS_MAX: Final = 256
THREADS_MAX: Final = 64
FRAMES_MAX: Final = 48
STACKS_MAX: Final = 5_000
SLACK_SECONDS: Final = 15.0
"""A recording that nobody ends does so itself, this long after its time."""
HZ_MAX: Final = 100


class Profiles:
    """Answers the plane's asks; `host` is where handlers run, when there are any."""

    def __init__(self, host: Host | None = None) -> None:
        self._host = host
        self._sampler: Sampler | None = None
        self._tracer: Tracer | None = None

    def wish(self, body: bytes) -> tuple[int, Told]:
        """Carries out one step."""
        asked = json.loads(body)
        steps = {
            "tasks": lambda: tasks(self._host),
            "heap": held,
            "heap_begin": lambda: self._begin_heap(float(asked["seconds"])),
            "heap_end": lambda: self._end_heap(int(asked["places"])),
            "heap_cancel": lambda: self._end_heap(0),
            "cpu_begin": lambda: self._begin_cpu(float(asked["seconds"]), int(asked["hz"])),
            "cpu_end": self._end_cpu,
            "cpu_cancel": self._end_cpu,
        }
        return 200, {"answered": True, "version": platform.python_version(), **steps[asked["do"]]()}

    def _begin_heap(self, seconds: float) -> Told:
        self._tracer = Tracer(seconds)
        return {}

    def _end_heap(self, places: int) -> Told:
        tracer, self._tracer = self._tracer, None
        return {} if tracer is None else tracer.end(places)

    def _begin_cpu(self, seconds: float, hz: int) -> Told:
        self._sampler = Sampler(seconds, min(hz, HZ_MAX))
        return {}

    def _end_cpu(self) -> Told:
        sampler, self._sampler = self._sampler, None
        return {} if sampler is None else sampler.end()


def tasks(host: Host | None) -> Told:
    """The tasks of the handlers' loop and what each awaits; the stacks of all Python threads."""
    loop = None if host is None else host.loop
    found: list[Told] = []
    count = 0
    if loop is not None:
        running = sorted(_all_tasks(loop), key=lambda task: task.get_name())
        count = len(running)
        found = [_task(task) for task in running[:TASKS_MAX]]
    return {
        "tasks": found,
        "tasks_left_out": count - len(found),
        "threads": [_thread(*one) for one in _threads()],
    }


def _all_tasks(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    """The loop's thread may add one meanwhile: then the set is read again."""
    for _ in range(10):
        try:
            return asyncio.all_tasks(loop)
        except RuntimeError:
            continue
    return set()


def _task(task: asyncio.Task[Any]) -> Told:
    get_context = getattr(task, "get_context", None)  # Since Python 3.12.
    context = None if get_context is None else get_context()
    caller = None if context is None else context.get(CALLER)
    stack, awaits = _awaited(task)
    return {
        "name": task.get_name(),
        "request_id": getattr(caller, "request_id", None),
        "stack": stack,
        "awaits": awaits,
    }


def _awaited(task: asyncio.Task[Any]) -> tuple[list[str], str | None]:
    """Frames from the task's own coroutine to the innermost it awaits, and what that awaits."""
    stack: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(stack) < FRAMES_MAX:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{prefix}_frame", None)
            if frame is not None:
                stack.append(_where(frame))
                follow = "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await"
                awaited = getattr(awaited, follow, None)
                break
        else:
            return stack, type(awaited).__name__
    return stack, None


def _where(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_qualname} ({_file(code.co_filename)}:{frame.f_lineno})"


def _file(name: str) -> str:
    """The last two parts of a path: enough to find it, short enough to read."""
    parts = Path(name).parts
    return "/".join(parts[-2:]) if len(parts) > 2 else name


def _threads() -> list[tuple[str, int | None, FrameType]]:
    """Name, number of the system and innermost frame of each thread of Python but this one."""
    own = threading.get_ident()
    frames = sys._current_frames()
    known = [(one.ident, one.name, one.native_id) for one in threading.enumerate()]
    found = [
        (name, native, frames[ident])
        for ident, name, native in known
        if ident is not None and ident != own and ident in frames
    ]
    return found[:THREADS_MAX]


def _thread(name: str, native: int | None, frame: FrameType) -> Told:
    return {"name": name, "thread": native, "stack": list(_stack(frame))[::-1]}


def _stack(frame: FrameType | None) -> Iterator[str]:
    """Where a thread is, the innermost first."""
    for _ in range(FRAMES_MAX):
        if frame is None:
            return
        yield _where(frame)
        frame = frame.f_back


def held() -> Told:
    """What Python can say of its memory at no cost."""
    return {
        "traced": False,
        "allocated_blocks": sys.getallocatedblocks(),
        "collector": [dict(one) for one in gc.get_stats()],
        "collector_pending": list(gc.get_count()),
    }


class Tracer:
    """Traces Python's allocations from its making on; ends by itself when nobody does."""

    def __init__(self, seconds: float) -> None:
        self._mine = not tracemalloc.is_tracing()
        """Somebody else's tracing is used, and goes on."""
        self._began = time.monotonic()
        if self._mine:
            tracemalloc.start()
        self._guard = threading.Timer(seconds + SLACK_SECONDS, self._stop)
        self._guard.daemon = True
        self._guard.name = "tailrace-profile-guard"
        self._guard.start()

    def _stop(self) -> None:
        if self._mine and tracemalloc.is_tracing():
            tracemalloc.stop()

    def end(self, places: int) -> Told:
        """The places that hold most of what was allocated meanwhile."""
        self._guard.cancel()
        lasted = time.monotonic() - self._began
        if not tracemalloc.is_tracing():
            return {**held(), "why": "somebody else has ended the tracing"}
        began = time.monotonic()
        top: list[Told] = []
        if places:
            snapshot = tracemalloc.take_snapshot()
            ours = (tracemalloc.Filter(False, tracemalloc.__file__),)
            statistics = snapshot.filter_traces(ours).statistics("lineno")
            top = [
                {
                    "place": f"{_file(one.traceback[0].filename)}:{one.traceback[0].lineno}",
                    "bytes": one.size,
                    "count": one.count,
                }
                for one in statistics[:places]
            ]
        now, peak = tracemalloc.get_traced_memory()
        own = tracemalloc.get_tracemalloc_memory()
        self._stop()
        return {
            **held(),
            "traced": True,
            "seconds": lasted,
            "traced_bytes": now,
            "traced_peak_bytes": peak,
            "cost": {
                "tracing_bytes": own,
                "counting_ms": (time.monotonic() - began) * 1e3,
                "why": "while it traces, each allocation of Python code takes longer",
            },
            "places": top,
        }


class Sampler:
    """Samples the frames of busy Python threads, in a thread of its own."""

    def __init__(self, seconds: float, hz: int) -> None:
        self._end = time.monotonic() + seconds + SLACK_SECONDS
        self._hz = hz
        self._over = threading.Event()
        self._sums: dict[tuple[str, ...], int] = {}
        self._used: dict[int, int] = {}
        self._samples = 0
        self._left_out = 0
        self._cost_ns = 0
        self._thread = threading.Thread(target=self._run, name="tailrace-profile", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(1 / self._hz) and time.monotonic() < self._end:
            began = time.thread_time_ns()
            self._sample()
            self._cost_ns += time.thread_time_ns() - began

    def _sample(self) -> None:
        for name, native, frame in _threads():
            used = _processor_ns(native)
            if used is None or native is None:
                continue
            before = self._used.get(native)
            self._used[native] = used
            grown = 0 if before is None else used - before
            if grown <= 0:
                continue
            self._samples += 1
            stack = (name, *list(_stack(frame))[::-1])
            if stack not in self._sums and len(self._sums) >= STACKS_MAX:
                self._left_out += 1
                stack = (name, "[other stacks]")
            self._sums[stack] = self._sums.get(stack, 0) + grown

    def end(self) -> Told:
        """What was sampled, the heaviest first."""
        self._over.set()
        self._thread.join(SLACK_SECONDS)
        sums = sorted(self._sums.items(), key=lambda one: (-one[1], one[0]))
        return {
            "hz": self._hz,
            "unit": "microseconds of processor time",
            "samples": self._samples,
            "stacks_left_out": self._left_out,
            "cost_ms": self._cost_ns / 1e6,
            "stacks": [{"frames": list(frames), "us": ns // 1_000} for frames, ns in sums],
            "notes": [
                "threads are seen where they let go of the interpreter lock: time in C is shown "
                "at its caller",
                "the time of these threads is not in the native stacks",
            ]
            + ([] if sys.platform == "linux" else ["Python's threads are sampled on Linux only"]),
        }


def _processor_ns(native: int | None) -> int | None:
    """Processor time of a thread; none where the system does not say."""
    try:
        with Path(f"/proc/self/task/{native}/schedstat").open("rb") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return None
