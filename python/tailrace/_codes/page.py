"""One page of the error catalogue.

The failure prevented: pages of different shape. Each says what was found, why it would hurt, how to
change it, and shows the fix; `tailrace explain` prints them in this order.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodeDoc:
    """What one code means."""

    title: str
    what: str
    why_bad: str
    fix: str
    example: str
