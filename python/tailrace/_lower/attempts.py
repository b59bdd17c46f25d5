"""Extra attempts of one upstream: its retries and hedges.

The failure prevented: a policy that reads well and does nothing, or harm. A retry that waits longer
than its call may take never happens; a hedge without a second place in the bulkhead never starts.
Ranges are those of `crates/tailrace-policy`; the blueprint's checks in Rust say the same to other
producers. A retry nobody declared is fitted to a short timeout, a declared one is refused.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from tailrace._lower.context import Context, at
from tailrace._lower.policy import Settings, later, quantity, settings, share_of, wait
from tailrace._origin import DEFAULT
from tailrace.policies import Hedge, Retry
from tailrace.quantities import duration_text, percentile
from tailrace.upstream import RETRY_DEFAULT, Upstream

if TYPE_CHECKING:
    from tailrace.service import Service

ATTEMPTS_MAX: Final = 5
BUDGET_MIN_MAX: Final = 1_000
EXTRA_MAX: Final = 0.5
WAIT_MIN_MS: Final = 0.001
HEDGE_DELAY_MAX_MS: Final = 2_000.0
"""At or above it the plane hedges nothing: the upstream is slow altogether."""


def lower_attempts(
    context: Context, upstream: Upstream, timeout_ms: float, limit: int
) -> dict[str, Any]:
    """The keys `retry` and `hedge` of an upstream; a policy that is off has none."""
    lowered: dict[str, Any] = {}
    retry = settings(context, upstream, "retry", Retry, "TR016")
    if retry is not None:
        lowered["retry"] = _retry(context, upstream, retry, timeout_ms)
    hedge = settings(context, upstream, "hedge", Hedge, "TR017")
    if hedge is not None:
        lowered["hedge"] = _hedge(context, upstream, hedge, timeout_ms, limit)
    return lowered


def _retry(
    context: Context, upstream: Upstream, found: Settings, timeout_ms: float
) -> dict[str, Any]:
    subject = f"retry of upstream `{upstream.name}`"
    backoff = wait(context, found["backoff"], f"backoff in the {subject}")
    backoff_max = wait(context, found["backoff_max"], f"backoff_max in the {subject}")
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
        place = later(found["backoff_max"], found["backoff"]).place
        context.problem("TR016", message, place, helps=helps)
    attempts = context.count(
        found["attempts"], f"attempts in the {subject}", "TR016", 1, ATTEMPTS_MAX
    )
    budget = share_of(context, found["budget"], f"budget in the {subject}", 1.0, zero=True)
    budget_min = context.count(
        found["budget_min"], f"budget_min in the {subject}", "TR016", 0, BUDGET_MIN_MAX
    )
    lowered = {
        "attempts": attempts,
        "backoff_ms": backoff,
        "backoff_max_ms": backoff_max,
        "budget": budget,
        "budget_min": budget_min,
    }
    if found["attempt_timeout"].value is not None:
        bound = _attempt_timeout(context, found, subject, timeout_ms, attempts)
        lowered["attempt_timeout_ms"] = bound
    return lowered


def _attempt_timeout(
    context: Context, found: Settings, subject: str, timeout_ms: float, attempts: int
) -> float:
    setting = found["attempt_timeout"]
    without = "leave it out: an attempt may then take the whole call"
    bound = wait(context, setting, f"attempt_timeout in the {subject}", without)
    shown, place = duration_text(bound), setting.place
    if bound < WAIT_MIN_MS:
        message = f"attempt_timeout in the {subject} is below 1us"
        context.problem("TR016", message, place, helps=("clocks are no finer",))
    elif bound >= timeout_ms:
        message = (
            f"attempt_timeout in the {subject} is {shown}, "
            f"a whole call only {duration_text(timeout_ms)}"
        )
        notes = ("the call would be over before another attempt could follow",)
        half = duration_text(timeout_ms / 2)
        helps = (f'attempt_timeout="{half}" leaves time for another; left out, one takes all',)
        context.problem("TR016", message, place, notes=notes, helps=helps)
    elif attempts == 1:
        message = f"the {subject} bounds each attempt at {shown} and allows only one"
        notes = ("what is dropped has no successor: that is what the timeout is for",)
        helps = ("attempts=2, or leave attempt_timeout out and lower the upstream's timeout",)
        context.problem("TR016", message, place, notes=notes, helps=helps)
    return bound


def _hedge(
    context: Context, upstream: Upstream, found: Settings, timeout_ms: float, limit: int
) -> dict[str, Any]:
    subject = f"hedge of upstream `{upstream.name}`"
    after = quantity(context, found["after"], f"after in the {subject}", percentile)
    delay = wait(context, found["delay_min"], f"delay_min in the {subject}")
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
    extra = share_of(context, found["extra"], f"extra in the {subject}", EXTRA_MAX, zero=False)
    return {"after": after, "extra": extra, "delay_min_ms": delay}


def check_hedges(context: Context, service: Service, blueprint: dict[str, Any]) -> None:
    """A hedge that no call may have is a mistake: two at the same time would do something twice."""
    views = blueprint["views"]
    if any("handler" in view for view in views):
        return  # Code may call anything.
    parts = [part for view in views for part in view["parts"]]
    spare = {part["otherwise"]["upstream"] for part in parts if "otherwise" in part}
    hedged = {row["name"] for row in blueprint["upstreams"] if "hedge" in row}
    for upstream in service.upstreams:
        mine = [part for part in parts if part["upstream"] == getattr(upstream, "name", None)]
        fits = [part for part in mine if part["method"] == "GET" or "idempotency_key" in part]
        if not mine or fits or upstream.name in spare or upstream.name not in hedged:
            continue
        methods = " and ".join(sorted({part["method"] for part in mine}))
        message = f"upstream `{upstream.name}` hedges, and all its calls are {methods}"
        notes = ("the second attempt runs beside the first, so the upstream would do it twice",)
        helps = ("leave hedge out, or give a call an idempotency_key that the upstream honours",)
        place = at(upstream.place, "hedge")
        context.problem("TR017", message, place, notes=notes, helps=helps)
