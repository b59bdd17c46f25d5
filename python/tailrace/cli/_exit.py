"""Exit codes: one table for every verb (DESIGN 7).

The failure prevented: scripts that cannot tell a failed limit from a broken machine.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a verb ends with."""

    OK = 0
    FAILED = 1  # ran, but a limit or rule failed
    USAGE = 2  # usage, configuration or declaration; nothing was run
    ENVIRONMENT = 3  # this machine cannot run it: a port is taken, something is missing
    INVALID = 4  # the result cannot be trusted
    INTERNAL = 70
    INTERRUPTED = 130
    TERMINATED = 143


class Stop(Exception):  # noqa: N818 - it ends a verb, in peace or not
    """Ends a verb with a code; the message, if any, has one line that says what to do."""

    def __init__(self, code: Exit, message: str = "") -> None:
        self.code = code
        self.message = message
        super().__init__(message)
