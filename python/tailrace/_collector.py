"""How long Python's garbage collector stops everything.

The failure prevented: a P99 that nobody can explain, because for some milliseconds no handler ran
and nothing was to blame. Each run is timed, by generation, for `tailrace_python_gc_pause_seconds`
(req 12.1). Installed only where handlers run: a declared view needs no Python.
"""

from __future__ import annotations

import gc
import time
from typing import Any, Protocol


class Counts(Protocol):
    """The plane's end."""

    def collected(self, generation: int, nanoseconds: int) -> None: ...


class CollectorWatch:
    """Times every run of the collector between `start` and `end`."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._began = 0

    def start(self) -> None:
        gc.callbacks.append(self._told)

    def end(self) -> None:
        if self._told in gc.callbacks:
            gc.callbacks.remove(self._told)

    def _told(self, phase: str, info: dict[str, Any]) -> None:
        # One run at a time: the collector does not run while it runs.
        if phase == "start":
            self._began = time.perf_counter_ns()
        elif self._began:
            took = time.perf_counter_ns() - self._began
            self._began = 0
            self._counts.collected(info["generation"], took)
