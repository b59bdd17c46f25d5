"""The value that says that no value was given.

The failure prevented: `None` read as "not said", where `None` itself can be meant.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Missing(Enum):
    """Says that no default was given, which `None` cannot say."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
