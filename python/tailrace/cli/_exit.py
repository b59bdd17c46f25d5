"""Exit codes, and the way a verb ends: one table for every verb (DESIGN 7).

The failure prevented: scripts that cannot tell a failed limit from a broken machine, and errors
that do not say what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    """Ends a verb with a code; `message` says what is wrong, each of `helps` what to do."""

    def __init__(self, code: Exit, message: str = "", *helps: str) -> None:
        self.code = code
        self.message = "\n".join([message, *(f"  help: {one}" for one in helps if one)])
        super().__init__(self.message)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest of `known`, else all of them."""
    import difflib
    import textwrap

    names = list(known)
    # The dashes that all options share must not make strangers look alike.
    folded = {name.lower().lstrip("-"): name for name in names}
    wanted = word.lower().lstrip("-")
    near = [name for name in folded if len(wanted) > 2 and name.startswith(wanted)]
    near = near or difflib.get_close_matches(wanted, folded, n=1, cutoff=0.5)
    if near:
        return f"did you mean `{folded[near[0]]}`?"
    # Below one another, eighty columns wide with what stands before it.
    there_are = textwrap.wrap(f"there are: {', '.join(names)}", 72) if names else []
    return "\n        ".join(there_are)
