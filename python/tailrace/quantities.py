"""Durations, sizes, shares and percentiles, parsed once, with their unit always visible.

The failure prevented: `timeout=80` that one reader takes for seconds and another for milliseconds.
A quantity is text with a unit (`"80ms"`, `"4MiB"`) or, for durations, a `timedelta`; a bare number
is refused with the text that was probably meant. Only a share has no unit: 0.1 is `"10%"`, and
a number above 1 is refused. Inside, durations are milliseconds (float) and
sizes are bytes (int), as the blueprint has them. Nothing longer than 24 hours or larger than 4 GiB
is accepted: such a limit does not limit.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

_DURATION_UNITS: Final = {
    "us": 0.001,
    "µs": 0.001,
    "ms": 1.0,
    "s": 1_000.0,
    "m": 60_000.0,
    "h": 3_600_000.0,
}
_SIZE_UNITS: Final = {
    "B": 1,
    "KB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
DURATION_MAX_MS: Final = 24 * 3_600_000.0
SIZE_MAX_BYTES: Final = (1 << 32) - 1
PERCENTILE_MIN: Final = Decimal("0.5")
PERCENTILE_MAX: Final = Decimal("0.999")
_SHARE: Final = re.compile(r"([+-]?\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%?)")
_PERCENTILE: Final = re.compile(r"[pP](\d+(?:\.\d+)?)")
_TEXT: Final = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([A-Za-zµ]*)\s*")


class QuantityError(ValueError):
    """A quantity that cannot be used: `code` says why, `hint` what to write instead."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def duration_ms(value: object, *, zero: bool = False) -> float:
    """Milliseconds of `"80ms"`, `"1.5s"`, `"2m"`, `"250us"` or a `timedelta`."""
    if isinstance(value, timedelta):
        number = value / timedelta(milliseconds=1)
        return _within(number, str(value), zero=zero, limit=DURATION_MAX_MS, most="24h")
    amount, unit = _split(value, _DURATION_UNITS, ("ms", "s"), '"80ms", "1.5s" or "2m"')
    number = amount * _DURATION_UNITS[unit]
    return _within(number, str(value), zero=zero, limit=DURATION_MAX_MS, most="24h")


def size_bytes(value: object, *, zero: bool = False, limit: int = SIZE_MAX_BYTES) -> int:
    """Bytes of `"4MiB"`, `"16KiB"`, `"500KB"` or `"512B"`; at most `limit`."""
    amount, unit = _split(value, _SIZE_UNITS, ("KiB", "MiB"), '"16KiB", "4MiB" or "500KB"')
    number = amount * _SIZE_UNITS[unit]
    if number != int(number):
        raise QuantityError("TR002", f"`{value}` is not a whole number of bytes", 'try "512B"')
    most = f"{(limit + 1) >> 30}GiB"
    return int(_within(number, str(value), zero=zero, limit=limit, most=most))


def share(value: object) -> float:
    """A share of `"10%"`, `0.1` or, in a variable, `"0.1"`: from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        message = f"a {type(value).__name__} is not a share"
        raise QuantityError("TR018", message, 'write "10%" or 0.1')
    text = str(value).strip()
    match = _SHARE.fullmatch(text)
    if match is None:
        raise QuantityError("TR018", f"`{value}` cannot be read", 'write "10%" or 0.1')
    number = Decimal(match[1]) / (100 if match[2] else 1)
    if not 0 <= number <= 1:
        meant = f'did you mean "{match[1]}%"?' if 1 < number <= 100 else 'write "10%" or 0.1'
        raise QuantityError("TR018", f"`{value}` is not between 0 and 1", meant)
    return float(number)


def percentile(value: object) -> float:
    """The share below the percentile `"p95"` or `"p99.5"`: from p50 to p99.9."""
    match = _PERCENTILE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise QuantityError("TR017", f"{value!r} is not a percentile", 'write "p95" or "p99.5"')
    number = Decimal(match[1]) / 100
    if not PERCENTILE_MIN <= number <= PERCENTILE_MAX:
        hint = "below it most calls would be doubled, above it nothing is left to gain"
        raise QuantityError("TR017", f"`{value}` is not between p50 and p99.9", hint)
    return float(number)


def share_text(number: float) -> str:
    """`0.1` as `10%`."""
    return f"{number * 100:g}%"


def percentile_text(number: float) -> str:
    """`0.95` as `p95`."""
    return f"p{number * 100:g}"


def duration_text(milliseconds: float) -> str:
    """The shortest text that means `milliseconds`: `80ms`, `1.5s`, `250us`."""
    if milliseconds and milliseconds < 1:
        return f"{milliseconds * 1000:g}us"
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:g}s"
    return f"{milliseconds:g}ms"


def _split(
    value: object, units: dict[str, float] | dict[str, int], likely: tuple[str, str], examples: str
) -> tuple[float, str]:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        kind = type(value).__name__
        raise QuantityError("TR002", f"a {kind} is not a quantity", f"write {examples}")
    if not isinstance(value, str):
        unit = likely[0] if isinstance(value, int) or value >= 10 else likely[1]
        message = f"`{value!r}` has no unit"
        raise QuantityError("TR001", message, f'did you mean "{value:g}{unit}"?')
    match = _TEXT.fullmatch(value)
    if match is None:
        raise QuantityError("TR002", f'"{value}" cannot be read', f"write {examples}")
    number, unit = match.groups()
    if not unit:
        raise QuantityError(
            "TR001", f'"{value}" has no unit', f'did you mean "{number}{likely[0]}"?'
        )
    if unit not in units:
        near = _near(unit, list(units))
        hint = f'did you mean "{number}{near}"?' if near else f"units: {', '.join(units)}"
        raise QuantityError("TR002", f'"{value}" has the unknown unit `{unit}`', hint)
    return float(number), unit


def _near(unit: str, units: list[str]) -> str | None:
    """The unit that was probably meant: another case, or the start of a longer word."""
    same = [known for known in units if known.lower() == unit.lower()]
    longer = [known for known in units if unit.lower().startswith(known.lower())]
    return max(same or longer, key=len, default=None)


def _within(number: float, shown: str, *, zero: bool, limit: float, most: str) -> float:
    if not math.isfinite(number) or number > limit:
        raise QuantityError("TR003", f"`{shown}` is too large", f"the most that limits is {most}")
    if number < 0 or (number == 0 and not zero):
        least = "zero or more" if zero else "more than zero"
        hint = "a limit of nothing refuses every request"
        raise QuantityError("TR003", f"`{shown}` must be {least}", hint)
    return number
