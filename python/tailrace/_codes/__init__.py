"""What each error code means, for `tailrace explain TR104`.

The failure prevented: a code that only its author understands. Every code that can be raised has a
page here, and every page is raised by a test.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodeDoc:
    """One page: what was found, why it would hurt, how to change it, and an example of the fix."""

    title: str
    what: str
    why_bad: str
    fix: str
    example: str


CODES: dict[str, CodeDoc] = {}
