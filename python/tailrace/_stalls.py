"""Who holds the event loop.

The failure prevented: a service whose handlers all answer 504 because one of them blocks, with
nothing that says which. A thread waits in the plane, outside the interpreter, until something has
waited for the loop for too long; then it looks at the stack of the loop's thread and names the
handler or the computed field on it, once per hold, in the log and in `tailrace_handler_stalls` or
`tailrace_computed_stalls` (RELIABILITY A09).

Limit: code that keeps the interpreter lock, such as one long call into C, is seen when it ends.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Final

from tailrace._pump import Bridge

HELD_S: Final = 0.2
_LOOK_S: Final = 1.0
log = logging.getLogger("tailrace")


@dataclass(frozen=True, slots=True)
class Watched:
    """What a stack may show: the view it belongs to, its name, and what would be better."""

    view: int
    name: str
    instead: str


class StallWatch:
    """Watches the loop of the thread `watched`."""

    def __init__(self, bridge: Bridge, watched: int, known: Mapping[CodeType, Watched]) -> None:
        self._bridge = bridge
        self._watched = watched
        self._known = known
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tailrace-watch", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        told = -1
        while not self._ended.is_set():
            if not self._bridge.late(HELD_S, _LOOK_S):
                continue
            waited, taken = self._bridge.waiting()
            if taken == told:
                self._ended.wait(HELD_S)  # The same hold, which is told already.
            elif waited >= HELD_S:
                told = taken
                self._tell(waited)

    def _tell(self, waited: float) -> None:
        frame = sys._current_frames().get(self._watched)
        if frame is None:
            return
        where = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        found = self._find(frame)
        if found is None:
            log.warning("the event loop has been held for %.1f s at %s", waited, where)
            return
        self._bridge.stalled(found.view)
        log.warning(
            "%s has held the event loop for %.1f s at %s: no other handler runs meanwhile (%s)",
            found.name,
            waited,
            where,
            found.instead,
        )

    def _find(self, frame: FrameType | None) -> Watched | None:
        while frame is not None:
            found = self._known.get(frame.f_code)
            if found is not None:
                return found
            frame = frame.f_back
        return None
