"""Guards of one upstream: breaker, throttle and adaptive limit.

The failure prevented: a guard that reads well and does nothing, or harm. A `slow` that no answer
can reach because the call times out first never counts; a limit without room below the bulkhead
never moves. Ranges are those of `crates/tailrace-policy`; the blueprint's checks in Rust say the
same to other producers. Where an adaptive limit begins is fitted to the bulkhead when nobody said
it, and refused when somebody did.
"""

from __future__ import annotations

from typing import Any, Final

from tailrace._lower.context import Context
from tailrace._lower.policy import Settings, later, settings, share_of, wait
from tailrace._origin import DEFAULT
from tailrace.policies import AdaptiveLimit, Breaker, Throttle
from tailrace.quantities import duration_text
from tailrace.upstream import Upstream

COUNT_MAX: Final = 10_000
REQUESTS_MAX: Final = 1_000_000
FACTOR_MAX: Final = 10.0
REJECT_MIN: Final = 0.01
REJECT_MAX: Final = 0.99
"""Some calls must find out about recovery."""
TIME_MIN_MS: Final = 0.001
OPEN_MAX_MS: Final = 3_600_000.0
"""An address that is left alone for longer is taken out by hand."""


def lower_guards(
    context: Context, upstream: Upstream, timeout_ms: float, limit: int
) -> dict[str, Any]:
    """The keys `breaker`, `throttle` and `adaptive`; a policy that is off has none."""
    lowered: dict[str, Any] = {}
    breaker = settings(context, upstream, "breaker", Breaker, "TR031")
    if breaker is not None:
        lowered["breaker"] = _breaker(context, upstream, breaker, timeout_ms)
    throttle = settings(context, upstream, "throttle", Throttle, "TR032")
    if throttle is not None:
        lowered["throttle"] = _throttle(context, upstream, throttle)
    adaptive = settings(context, upstream, "adaptive", AdaptiveLimit, "TR033")
    if adaptive is not None:
        lowered["adaptive"] = _adaptive(context, upstream, adaptive, limit)
    return lowered


def _breaker(
    context: Context, upstream: Upstream, found: Settings, timeout_ms: float
) -> dict[str, Any]:
    subject = f"breaker of upstream `{upstream.name}`"
    consecutive, samples = (
        context.count(found[name], f"{name} in the {subject}", "TR031", 1, COUNT_MAX)
        for name in ("consecutive", "samples_min")
    )
    success = share_of(
        context, found["success_min"], f"success_min in the {subject}", 1.0, zero=True
    )
    lowered = {"consecutive": consecutive, "success_min": success, "samples_min": samples}
    if found["slow"].value is not None:
        lowered["slow_ms"] = _slow(context, found, subject, timeout_ms)
    lowered["open_ms"], lowered["open_max_ms"] = _open(context, found, subject)
    return lowered


def _slow(context: Context, found: Settings, subject: str, timeout_ms: float) -> float:
    slow = wait(
        context, found["slow"], f"slow in the {subject}", "leave it out when any time is fine"
    )
    if slow < TIME_MIN_MS:
        helps = ("clocks are no finer; leave it out when any time is fine",)
        message = f"slow in the {subject} is below 1us"
        context.problem("TR031", message, found["slow"].place, helps=helps)
    elif slow >= timeout_ms:
        message = (
            f"slow in the {subject} is {duration_text(slow)}, "
            f"a whole call only {duration_text(timeout_ms)}"
        )
        notes = ("the call would be over before its answer could count as slow",)
        helps = (f'slow="{duration_text(timeout_ms / 2)}" is half of it',)
        context.problem("TR031", message, found["slow"].place, notes=notes, helps=helps)
    return slow


def _open(context: Context, found: Settings, subject: str) -> tuple[float, float]:
    without = "without a time out an ejected address is tried at once"
    first = wait(context, found["open"], f"open in the {subject}", without)
    longest = wait(context, found["open_max"], f"open_max in the {subject}", without)
    for name, value in (("open", first), ("open_max", longest)):
        if value < TIME_MIN_MS or value > OPEN_MAX_MS:
            message = f"{name} in the {subject} cannot be {found[name].value!r}"
            helps = ("from 1us to 1h: what is out for longer is taken out by hand",)
            context.problem("TR031", message, found[name].place, helps=helps)
            return first, longest
    if longest < first:
        message = (
            f"open_max in the {subject} is {duration_text(longest)}, "
            f"its open already {duration_text(first)}"
        )
        place = later(found["open_max"], found["open"]).place
        context.problem("TR031", message, place, helps=("raise open_max or lower open",))
    return first, longest


def _throttle(context: Context, upstream: Upstream, found: Settings) -> dict[str, Any]:
    subject = f"throttle of upstream `{upstream.name}`"
    factor = found["factor"].value
    if (
        isinstance(factor, bool)
        or not isinstance(factor, int | float)
        or not 1 <= factor <= FACTOR_MAX
    ):
        message = f"factor in the {subject} cannot be {factor!r}"
        helps = ("1 to 10: 2 refuses nothing while half of the calls are accepted",)
        context.problem("TR032", message, found["factor"].place, helps=helps)
        factor = 1
    least = context.count(
        found["requests_min"], f"requests_min in the {subject}", "TR032", 1, REQUESTS_MAX
    )
    most = share_of(
        context,
        found["reject_max"],
        f"reject_max in the {subject}",
        REJECT_MAX,
        least=REJECT_MIN,
    )
    return {"factor": float(factor), "requests_min": least, "reject_max": most}


def _adaptive(context: Context, upstream: Upstream, found: Settings, limit: int) -> dict[str, Any]:
    subject = f"adaptive limit of upstream `{upstream.name}`"
    before = len(context.problems)
    least = context.count(found["min"], f"min in the {subject}", "TR033", 1, COUNT_MAX)
    begin = context.count(found["init"], f"init in the {subject}", "TR033", 1, COUNT_MAX)
    if found["init"].origin == DEFAULT:
        begin = max(least, min(begin, limit))
    if len(context.problems) > before:
        return {"min": least, "init": begin}
    if least >= limit:
        message = f"min in the {subject} is {least}, its bulkhead {limit}"
        notes = ("the limit moves between the two: there is no room",)
        helps = ("lower min, raise the bulkhead or leave adaptive out",)
        context.problem("TR033", message, found["min"].place, notes=notes, helps=helps)
    elif not least <= begin <= limit:
        message = f"init in the {subject} is {begin}, not between {least} and {limit}"
        notes = ("the limit moves between min and the bulkhead",)
        place = found["init"].place
        context.problem("TR033", message, place, notes=notes, helps=("choose one between them",))
    return {"min": least, "init": begin}
