"""Single keys of a terminal, while something is drawn on it.

The failure prevented: a terminal that is left without echo. It is put back as it was whatever ends
the block; Ctrl-C still interrupts.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Inside the block, `pressed(seconds)` waits for a key; what is typed is not shown."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> str:
        """`q` when it was pressed within `seconds`, or the terminal is gone; else nothing."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([descriptor], [], [], left)[0]:
                break
            typed = os.read(descriptor, 64)
            if not typed or b"q" in typed.lower():
                return "q"
        return ""

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
