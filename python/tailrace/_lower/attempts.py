"""Extra attempts of one upstream: its retries and hedges.

The failure prevented: a policy that reads well and does nothing, or harm. A retry that waits longer
than its call may take never happens; a hedge without a second place in the bulkhead never starts.
Ranges are those of `crates/tailrace-policy`; the blueprint's checks in Rust say the same to other
producers. A retry nobody declared is fitted to a short timeout, a declared one is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from tailrace._lower.context import Context, at
from tailrace._origin import DEFAULT, Setting
from tailrace._source import inner_argument
from tailrace.policies import Hedge, Retry
from tailrace.quantities import (
    QuantityError,
    duration_ms,
    duration_text,
    percentile,
    share,
    share_text,
)
from tailrace.upstream import RETRY_DEFAULT, Upstream

ATTEMPTS_MAX: Final = 5
BUDGET_MIN_MAX: Final = 1_000
SHARE_MIN: Final = 0.001
EXTRA_MAX: Final = 0.5
WAIT_MIN_MS: Final = 0.001
HEDGE_DELAY_MAX_MS: Final = 2_000.0
"""At or above it the plane hedges nothing: the upstream is slow altogether."""
UNKNOWN: Final = math.nan
"""A quantity that is reported already: no comparison with it holds."""

Settings = dict[str, Setting]


def lower_attempts(
    context: Context, upstream: Upstream, timeout_ms: float, limit: int
) -> dict[str, Any]:
    """The keys `retry` and `hedge` of an upstream; a policy that is off has none."""
    lowered: dict[str, Any] = {}
    retry = _settings(context, upstream, "retry", Retry, "TR016")
    if retry is not None:
        lowered["retry"] = _retry(context, upstream, retry, timeout_ms)
    hedge = _settings(context, upstream, "hedge", Hedge, "TR017")
    if hedge is not None:
        lowered["hedge"] = _hedge(context, upstream, hedge, timeout_ms, limit)
    return lowered


def _settings(
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
        said_off = word == "retry" and declared is None
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


_BLUEPRINT_NAMES: Final = {
    "backoff": "backoff_ms",
    "backoff_max": "backoff_max_ms",
    "delay_min": "delay_min_ms",
}


def _retry(
    context: Context, upstream: Upstream, found: Settings, timeout_ms: float
) -> dict[str, Any]:
    subject = f"retry of upstream `{upstream.name}`"
    backoff = _wait(context, found["backoff"], f"backoff in the {subject}")
    backoff_max = _wait(context, found["backoff_max"], f"backoff_max in the {subject}")
    undeclared = upstream.retry is RETRY_DEFAULT and found["backoff"].origin == DEFAULT
    if undeclared and backoff >= timeout_ms:
        backoff = timeout_ms / 2
    if backoff < WAIT_MIN_MS:
        helps = ('clocks are no finer; the usual is "10ms"',)
        message = f"backoff in the {subject} is below 1us"
        context.problem("TR016", message, found["backoff"].place, helps=helps)
    if backoff >= timeout_ms:
        message = (
            f"backoff in the {subject} is {duration_text(backoff)}, "
            f"a whole call only {duration_text(timeout_ms)}"
        )
        notes = ("the timeout covers all attempts and the waits between them",)
        helps = (f'backoff="{duration_text(timeout_ms / 8)}" leaves time for an answer',)
        context.problem("TR016", message, found["backoff"].place, notes=notes, helps=helps)
    elif backoff_max < backoff:
        message = (
            f"backoff_max in the {subject} is {duration_text(backoff_max)}, "
            f"its backoff already {duration_text(backoff)}"
        )
        helps = ("raise backoff_max or lower backoff",)
        place = _later(found["backoff_max"], found["backoff"]).place
        context.problem("TR016", message, place, helps=helps)
    attempts = context.count(
        found["attempts"], f"attempts in the {subject}", "TR016", 1, ATTEMPTS_MAX
    )
    budget = _share(context, found["budget"], f"budget in the {subject}", 1.0, zero=True)
    budget_min = context.count(
        found["budget_min"], f"budget_min in the {subject}", "TR016", 0, BUDGET_MIN_MAX
    )
    return {
        "attempts": attempts,
        "backoff_ms": backoff,
        "backoff_max_ms": backoff_max,
        "budget": budget,
        "budget_min": budget_min,
    }


def _hedge(
    context: Context, upstream: Upstream, found: Settings, timeout_ms: float, limit: int
) -> dict[str, Any]:
    subject = f"hedge of upstream `{upstream.name}`"
    after = _read(context, found["after"], f"after in the {subject}", percentile)
    delay = _wait(context, found["delay_min"], f"delay_min in the {subject}")
    if not WAIT_MIN_MS <= delay < HEDGE_DELAY_MAX_MS and not math.isnan(delay):
        message = f"delay_min in the {subject} cannot be {duration_text(delay)}"
        helps = ("from 1us to below 2s: what usually takes longer is not hedged",)
        context.problem("TR017", message, found["delay_min"].place, helps=helps)
    elif delay >= timeout_ms:
        message = (
            f"delay_min in the {subject} is {duration_text(delay)}, "
            f"a whole call only {duration_text(timeout_ms)}"
        )
        notes = ("the call would be over before its second attempt could start",)
        helps = (f'delay_min="{duration_text(timeout_ms / 8)}" leaves time for an answer',)
        context.problem("TR017", message, found["delay_min"].place, notes=notes, helps=helps)
    if limit == 1:
        message = f"upstream `{upstream.name}` hedges with a bulkhead of 1"
        notes = ("the first attempt holds the only place while the second would need one",)
        helps = ("raise the bulkhead to 2 or more, or leave hedge out",)
        place = at(upstream.place, "hedge")
        context.problem("TR017", message, place, notes=notes, helps=helps)
    extra = _share(context, found["extra"], f"extra in the {subject}", EXTRA_MAX, zero=False)
    return {"after": after, "extra": extra, "delay_min_ms": delay}


def _read(
    context: Context, setting: Setting, subject: str, read: Callable[[object], float]
) -> float:
    try:
        return read(setting.value)
    except QuantityError as error:
        context.quantity(error, subject, setting.place)
        return UNKNOWN


def _wait(context: Context, setting: Setting, subject: str) -> float:
    """Milliseconds; what is wrong with a wait of nothing is not what is wrong with such a limit."""
    try:
        return duration_ms(setting.value)
    except QuantityError as error:
        hint = error.hint
        if error.code == "TR003":
            hint = "without a wait, what fails together is sent again together"
        context.problem(error.code, f"{subject}: {error}", setting.place, helps=(hint,))
        return UNKNOWN


def _share(context: Context, setting: Setting, subject: str, most: float, *, zero: bool) -> float:
    """Extra attempts per call; below a thousandth the plane's tokens cannot count them."""
    number = _read(context, setting, subject, share)
    if math.isnan(number) or SHARE_MIN <= number <= most or (zero and number == 0):
        return number
    least = "0%, or from 0.1%" if zero else "from 0.1%"
    helps = (f"a share of the calls: {least} to {share_text(most)}",)
    context.problem("TR018", f"{subject} cannot be {setting.value!r}", setting.place, helps=helps)
    return number


def _later(one: Setting, other: Setting) -> Setting:
    """The setting somebody wrote, when the other is only the default."""
    return other if one.origin == DEFAULT else one
