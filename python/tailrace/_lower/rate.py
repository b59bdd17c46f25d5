"""Rates: of a client, a view or an upstream.

The failure prevented: a rate that lets nothing through, or one whose burst takes days to come back.
Ranges are those of `crates/tailrace-policy`; the blueprint's checks in Rust say the same to other
producers. `rate = 100` in a file, or in a variable, is `Rate(100)`; `rate = "off"` is none.
"""

from __future__ import annotations

import math
from typing import Any, Final

from tailrace._lower.context import Context
from tailrace._origin import Key
from tailrace._source import Place, nested
from tailrace.policies import Rate

PER_SECOND_MIN: Final = 0.0001
PER_SECOND_MAX: Final = 1_000_000.0
COUNT_MAX: Final = (1 << 32) - 1
REFILL_MAX_S: Final = 86_400
Written = tuple[Place, *tuple[str, ...]]
"""A call, and the names of the arguments that lead to what is looked for."""


def lower_rate(
    context: Context, key: Key, subject: str, declared: object, written: Written
) -> dict[str, Any]:
    """The key `rate` of whatever `key` names; without a rate it is left out."""
    place = nested(*written)
    if declared is not None and not isinstance(declared, Rate):
        example = f"Rate({declared:g})" if _is_number(declared) else "Rate(100)"
        helps = (f"write rate={example} for so many a second, or leave it out",)
        context.problem("TR090", f"rate of {subject} cannot be {declared!r}", place, helps=helps)
        return {}
    base = f"{'.'.join(key)}.rate"
    per_second = context.setting(
        (*key, "rate_per_second"),
        None if declared is None else declared.per_second,
        None,
        nested(*written, "per_second"),
        f"{base}.per_second",
    )
    if per_second.value is False or (per_second.value is None and declared is None):
        context.origins[base] = per_second.origin
        return {}
    number = per_second.value
    if not _is_number(number) or not PER_SECOND_MIN <= number <= PER_SECOND_MAX:
        helps = (f"from {PER_SECOND_MIN:g} to {PER_SECOND_MAX:,.0f}; without a rate: no limit",)
        message = f"rate of {subject} cannot be {number!r} a second"
        context.problem("TR090", message, per_second.place, helps=helps)
        return {}
    burst = context.setting(
        (*key, "rate_burst"),
        None if declared is None else declared.burst,
        max(1, math.ceil(number)),
        nested(*written, "burst"),
        f"{base}.burst",
    )
    most = context.count(burst, f"burst in the rate of {subject}", "TR090", 1, COUNT_MAX)
    if most / number > REFILL_MAX_S:
        message = f"burst in the rate of {subject} takes {most / number / 3600:.0f} h to come back"
        helps = ("lower the burst or raise per_second: within a day",)
        context.problem("TR090", message, burst.place, helps=helps)
    return {"rate": {"per_second": float(number), "burst": most}}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
