"""Checks of what tailrace brings or takes: Python, the plane, its ports.

The failure prevented: figures from a debug build, and a port that is found taken in production.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from tailrace.cli._ports import is_free, next_free, owner
from tailrace.cli.doctor.finding import Finding

PYTHON_LEAST: Final = (3, 11)


def python() -> Finding:
    """The interpreter that runs this."""
    found = f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"
    if sys.version_info < PYTHON_LEAST:
        return Finding("python", "fail", found, "use Python 3.11 or newer")
    return Finding("python", "ok", found)


def plane() -> Iterator[Finding]:
    """The native module: there, and built to be measured."""
    try:
        from tailrace._runtime import build_info

        built = build_info()
    except ImportError as error:
        fix = "install a wheel for this Python and platform: pip install --force-reinstall tailrace"
        yield Finding("plane", "fail", f"cannot be loaded: {error}", fix)
        return
    found = f"{built['version']}, {built['profile']} build"
    if built["profile"] == "debug":
        fix = "install a wheel, or build with optimisation: make demo"
        yield Finding("plane", "warn", f"{found}: many times slower, measure nothing with it", fix)
    else:
        yield Finding("plane", "ok", found)


def port(number: int, option: str) -> Finding:
    """A port that `serve` takes unless told otherwise."""
    name = f"port {number}"
    if is_free(number):
        return Finding(name, "ok", "free on 127.0.0.1")
    whom = owner(number)
    free = next_free(number)
    instead = f"tailrace serve {option} {free}" if free else f"choose another with {option}"
    found = f"in use by {whom}" if whom else "in use"
    return Finding(name, "fail", found, f"end that program, or {instead}")
