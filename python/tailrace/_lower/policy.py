"""The values of one policy of an upstream: declared, overridden or usual, each with its origin.

The failure prevented: a policy whose override is ignored because the code left it off, or a share
and a wait that one policy reads differently from the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from tailrace._lower.context import Context, at
from tailrace._origin import DEFAULT, Setting
from tailrace._source import inner_argument
from tailrace.quantities import QuantityError, duration_ms, share, share_text
from tailrace.upstream import Upstream

SHARE_MIN: Final = 0.001
UNKNOWN: Final = math.nan
"""A quantity that is reported already: no comparison with it holds."""
ON: Final = frozenset({"retry", "breaker", "throttle"})
"""Policies that are on when nothing is said; `None` turns them off."""
_BLUEPRINT_NAMES: Final = {
    "attempt_timeout": "attempt_timeout_ms",
    "backoff": "backoff_ms",
    "backoff_max": "backoff_max_ms",
    "delay_min": "delay_min_ms",
    "slow": "slow_ms",
    "open": "open_ms",
    "open_max": "open_max_ms",
}

Settings = dict[str, Setting]


def settings(
    context: Context, upstream: Upstream, word: str, kind: type[Any], code: str
) -> Settings | None:
    """The policy's effective values by field, or `None` when it is off.

    An override of one field turns a policy on that the code left off: it must not be ignored.
    """
    declared = getattr(upstream, word)
    key, base = ("upstreams", upstream.name), f"upstreams.{upstream.name}.{word}"
    if declared is not None and not isinstance(declared, kind):
        message = f"{word} of upstream `{upstream.name}` cannot be {declared!r}"
        helps = (f"write {word}={kind.__name__}(...), or {word}=None for none",)
        context.problem(code, message, at(upstream.place, word), helps=helps)
        return None
    names = [field.name for field in fields(kind)]
    switch = context.overrides.find((*key, word))
    touched = any(context.overrides.find((*key, f"{word}_{name}")) for name in names)
    on = (declared is not None or touched) if switch is None else switch.value
    if not on:
        said_off = word in ON and declared is None
        place = at(upstream.place, word)
        context.origins[base] = (
            switch.origin if switch else f"code {place}" if said_off else DEFAULT
        )
        return None
    usual, found = kind(), {}
    for name in names:
        default = getattr(usual, name)
        value = default if declared is None else getattr(declared, name)
        found[name] = context.setting(
            (*key, f"{word}_{name}"),
            None if value is default or value == default else value,
            default,
            inner_argument(upstream.place, word, name),
            f"{base}.{_BLUEPRINT_NAMES.get(name, name)}",
        )
    return found


def quantity(
    context: Context, setting: Setting, subject: str, read: Callable[[object], float]
) -> float:
    """What `read` makes of it, or `UNKNOWN` after reporting why not."""
    try:
        return read(setting.value)
    except QuantityError as error:
        context.quantity(error, subject, setting.place)
        return UNKNOWN


def wait(context: Context, setting: Setting, subject: str, without: str = "") -> float:
    """Milliseconds; what is wrong with a wait of nothing is not what is wrong with such a limit."""
    try:
        return duration_ms(setting.value)
    except QuantityError as error:
        hint = error.hint
        if error.code == "TR003":
            hint = without or "without a wait, what fails together is sent again together"
        context.problem(error.code, f"{subject}: {error}", setting.place, helps=(hint,))
        return UNKNOWN


def share_of(
    context: Context,
    setting: Setting,
    subject: str,
    most: float,
    *,
    zero: bool = False,
    least: float = SHARE_MIN,
) -> float:
    """A share of the calls; below a thousandth the plane's tokens cannot count them."""
    number = quantity(context, setting, subject, share)
    if math.isnan(number) or least <= number <= most or (zero and number == 0):
        return number
    lowest = f"0%, or from {share_text(least)}" if zero else f"from {share_text(least)}"
    helps = (f"a share of the calls: {lowest} to {share_text(most)}",)
    context.problem("TR018", f"{subject} cannot be {setting.value!r}", setting.place, helps=helps)
    return number


def later(one: Setting, other: Setting) -> Setting:
    """The setting somebody wrote, when the other is only the default."""
    return other if one.origin == DEFAULT else one
