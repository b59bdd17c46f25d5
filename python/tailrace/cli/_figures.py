"""From two samples of `/live` to figures: rates, shares and percentiles of the time between them.

The failure prevented: a terminal and a page that show the same service and different numbers. This
is the console's `figures.js` in Python: the same differences, the same words for numbers.
Percentiles are upper bounds, at most an eighth too high; what had no samples is a dash.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

Sample: TypeAlias = Mapping[str, Any]
Row: TypeAlias = dict[str, Any]
Buckets: TypeAlias = Iterable[tuple[float, int]]

NOTHING: Final = "-"
SERVER_ERROR: Final = 500


def figures(now: Sample, before: Sample) -> Row:
    """Views, upstreams and what is missing, per second of the time between two samples.

    `before` of another start of the service counts as nothing.
    """
    if before["started_epoch_ms"] != now["started_epoch_ms"] or before["at_ms"] >= now["at_ms"]:
        before = {}
        seconds = max(1.0, (now["epoch_ms"] - now["started_epoch_ms"]) / 1000)
    else:
        seconds = (now["at_ms"] - before["at_ms"]) / 1000
    return {
        "service": now["service"],
        "phase": now["phase"],
        "protections": now["protections"],
        "revision": now["revision"],
        "seconds": round(seconds, 3),
        "in_flight": now["in_flight"],
        "refused": rates(
            now["admission"]["refused"], before.get("admission", {}).get("refused", {}), seconds
        ),
        "views": [_view(one, _same(before, "views", one), seconds) for one in now["views"]],
        "upstreams": [
            _upstream(one, _same(before, "upstreams", one), seconds) for one in now["upstreams"]
        ],
        "missing": [
            row
            for view in now["views"]
            for row in _missing(view, _same(before, "views", view), seconds)
        ],
    }


def _same(before: Sample, kind: str, one: Sample) -> Sample:
    found = (old for old in before.get(kind, ()) if old["name"] == one["name"])
    return next(found, {})


def _view(one: Sample, old: Sample, seconds: float) -> Row:
    replies = _differences(one["statuses"], old.get("statuses", {}))
    count = sum(replies.values())
    failed = sum(
        n for status, n in replies.items() if not status.isdigit() or int(status) >= SERVER_ERROR
    )
    degraded = max(0, one["degraded"] - old.get("degraded", 0))
    return {
        "view": one["name"],
        "route": f"{one['method']} {one['route']}",
        "rate": count / seconds,
        "success": 1 - failed / count if count else None,
        "degraded": min(1.0, degraded / count) if count else None,
        **percentiles(one["duration_us"], old.get("duration_us", ())),
        "deadline_ms": one["deadline_ms"],
        "left_out": one["rung"],
        "steps": one["rungs"],
    }


def _upstream(one: Sample, old: Sample, seconds: float) -> Row:
    def since(name: str) -> int:
        return max(0, int(one[name] - old.get(name, 0)))

    calls, attempts = since("calls"), since("attempts")
    ended = sum(_counts(one["duration_us"], old.get("duration_us", ())).values())
    return {
        "upstream": one["name"],
        "rate": calls / seconds,
        "effective": _share_left(since("calls_failed"), calls),
        "attempt_rate": attempts / seconds,
        "actual": _share_left(since("failures"), ended),
        **percentiles(one["duration_us"], old.get("duration_us", ())),
        "in_flight": one["in_flight"],
        "limit": one["limit"],
        "limit_live": one["limit_live"],
        "queued": one["queued"],
        "queue_limit": one["queue_limit"],
        "breaker": breaker([address["breaker"] for address in one["addresses"]]),
        "budget_left": one["retry_budget"],
        "retry_rate": since("retries") / seconds,
        "hedge_rate": since("hedges") / seconds,
    }


def _missing(view: Sample, old: Sample, seconds: float) -> list[Row]:
    before = {part["name"]: part for part in old.get("parts", ())}
    found = []
    for part in view["parts"]:
        reasons = rates(part["failed"], before.get(part["name"], {}).get("failed", {}), seconds)
        for reason, rate in reasons.items():
            found.append(
                {
                    "view": view["name"],
                    "part": part["name"],
                    "kind": part["strength"],
                    "reason": reason,
                    "rate": rate,
                }
            )
    return found


def _share_left(bad: int, whole: int) -> float | None:
    return max(0.0, 1 - bad / whole) if whole else None


def breaker(states: list[str | None]) -> str:
    """`closed`, `2 of 3 open`, ...; a dash where no address is ever left alone."""
    known = [state for state in states if state]
    away = [state for state in known if state != "closed"]
    if not known:
        return NOTHING
    if not away:
        return "closed"
    word = "probe" if all(state == "probe" for state in away) else "open"
    return f"{len(away)} of {len(known)} {word}"


def rates(now: Mapping[str, int], before: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Per second and above zero, the most frequent first."""
    found = {name: n / seconds for name, n in _differences(now, before).items() if n > 0}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _differences(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: max(0, n - before.get(name, 0)) for name, n in now.items()}


def _counts(now: Buckets, before: Buckets) -> Counter[float]:
    found: Counter[float] = Counter()
    for bound, count in now:
        found[bound] += count
    for bound, count in before:
        found[bound] -= count
    return found


def percentiles(now: Buckets, before: Buckets = ()) -> dict[str, float | None]:
    """P50, P95 and P99 in milliseconds; `None` where nothing ended."""
    ordered = sorted((bound, n) for bound, n in _counts(now, before).items() if n > 0)
    total = sum(count for _, count in ordered)

    def at(share: float) -> float | None:
        rank, seen = max(1, math.ceil(share * total)), 0
        for bound, count in ordered:
            seen += count
            if seen >= rank:
                return bound / 1000
        return None

    return {"p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99)}


def duration(milliseconds: float | None) -> str:
    """Three figures and a unit."""
    if milliseconds is None:
        return NOTHING
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2f} s"
    if milliseconds >= 100:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds:.1f} ms" if milliseconds >= 1 else f"{milliseconds:.2f} ms"


def rate(per_second: float) -> str:
    """Per second."""
    if not per_second:
        return "0"
    if per_second < 0.1:
        return "<0.1"
    return f"{per_second:.1f}" if per_second < 10 else f"{per_second:,.0f}"


def share(value: float | None) -> str:
    """What is neither none nor all is never shown as one of them."""
    if value is None:
        return NOTHING
    if 0 < value < 0.001:
        return "<0.1%"
    if 0.999 < value < 1:
        return ">99.9%"
    return f"{value * 100:.1f}%".replace(".0%", "%")


def plain(text: object) -> str:
    """Text in which nothing moves the cursor, hides or turns around (RELIABILITY S21)."""
    return "".join(one if one.isprintable() else f"\\u{{{ord(one):x}}}" for one in str(text))
