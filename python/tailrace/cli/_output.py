"""Where output goes and whether it has colour.

stdout is data, stderr is talk. Colour only on a terminal, never with NO_COLOR, always with
FORCE_COLOR or ``--color always``. Without a terminal no escape byte is ever written.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Literal, TextIO

Color = Literal["auto", "always", "never"]
FORMAT_VERSION = 1


def wants_color(stream: TextIO, choice: Color = "auto") -> bool:
    """Whether ``stream`` gets colour."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty()


def talk(text: str = "") -> None:
    """A line for the person at the terminal, on stderr."""
    print(text, file=sys.stderr, flush=True)


def emit_json(value: dict[str, Any]) -> None:
    """One JSON document on stdout, with the version of its format."""
    print(json.dumps({"format_version": FORMAT_VERSION, **value}), flush=True)
