"""The tail type-check: what a view may take at worst against what it promises.

The failure prevented: a timeout that can never fire, because the deadline ends the request first,
and a request that fills a bulkhead by itself, so that it stands in its own way and in everybody
else's (req 4.2, 4.3). Both are refused before anything listens, with the sum; `allow_overcommit`
records why one is right all the same. What only may not fit (a retry, a hedge, a turn in the
fan-out) is warned about: those are asked for time again when they happen.

A weak part may stand between two strong ones; then the call that stands in for it comes after its
own, and is part of the chain. Waits in a bulkhead's queue, retries and hedges happen within the
timeout of their call, so they are part of its time and not added to it. Limits: every number is a
bound from the declaration.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Literal

from tailrace._worst import (
    Part,
    Term,
    computed_ms,
    in_flight,
    longest_chain,
    needs,
    other_of,
    timeout_of,
    timeouts_of,
)
from tailrace.quantities import duration_text

ROUNDING_MS: Final = 1e-6
"""Sums of scaled times are not exact; a nanosecond decides nothing."""

Verdict = Literal["refused", "allowed", "warned"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit. `allowed` is refused, but for its view's `allow_overcommit`."""

    verdict: Verdict
    code: str
    """The error's code, or a word for what is only warned about."""
    view: str
    message: str
    sums: tuple[tuple[str, str], ...] = ()
    """How the message is reached, line by line, each with the blueprint path its number is at."""
    why: str = ""
    helps: tuple[str, ...] = ()

    @property
    def brief(self) -> str:
        """What happens to the view, in a few words."""
        return _BRIEF[self.code]


_BRIEF: Final = {
    "TR114": "may overrun its deadline",
    "TR115": "may fill a bulkhead by itself",
    "overcommit": "allows what fits anyway",
    "weak_time": "may wait until its deadline for a weak part",
    "turns": "may wait too long for its fan-out",
    "retries": "has no time for all retries",
    "hedges": "has no time for hedges",
    "purse": "has no extra attempts to spend",
}


def check_tail(blueprint: dict[str, Any]) -> list[Finding]:
    """Everything in `blueprint` that does not fit, view by view."""
    timeouts = timeouts_of(blueprint)
    found: list[Finding] = []
    for view in blueprint["views"]:
        reason = view.get("allow_overcommit")
        firm = [*_time(view, timeouts, reason), *_places(view, blueprint["upstreams"], reason)]
        if reason is not None and not firm:
            message = "allow_overcommit allows nothing: everything fits"
            helps = ("take it out: it would hide what stops fitting later",)
            firm = [Finding("warned", "overcommit", view["name"], message, helps=helps)]
        found += firm
        found += _weak(view, timeouts)
        if not any(one.code == "TR114" for one in firm):
            found += _turns(view, timeouts)
        found += _extra(view, blueprint["upstreams"], timeouts)
    return found


def equation(chain: tuple[Term, ...], kept: float = 0.0) -> str:
    """`order 80ms + stock 60ms x 2 rounds = 200ms`; `kept` is for computed fields."""
    shown = " + ".join(_term(one) for one in chain)
    if kept:
        shown += f" + computed fields {duration_text(kept)}"
    plain = len(chain) == 1 and chain[0].rounds == 1 and not chain[0].other_ms and not kept
    return shown if plain else f"{shown} = {duration_text(_sum(chain) + kept)}"


def _term(term: Term) -> str:
    times = f" x {term.rounds} rounds" if term.rounds > 1 else ""
    other = f" + its stand-in {duration_text(term.other_ms)}" if term.other_ms else ""
    return f"{term.part} {duration_text(term.timeout_ms)}{times}{other}"


def _sum(chain: tuple[Term, ...]) -> float:
    return sum(term.ms for term in chain)


def _time(view: dict[str, Any], timeouts: dict[str, float], reason: str | None) -> list[Finding]:
    """First attempts must fit the deadline one after the other, or a timeout can never fire."""
    chain, deadline = longest_chain(view, timeouts, "strong"), float(view["deadline_ms"])
    kept = computed_ms(view)
    total = _sum(chain) + kept
    if not chain or total <= deadline + ROUNDING_MS:
        return []
    by_name = {part["name"]: part for part in view["parts"]}
    sums = [row for one in chain for row in _rows(one, by_name[one.part], view)]
    if kept:
        text = f"computed fields: {duration_text(kept)}, kept for them"
        sums.append((text, f"views.{view['name']}.computed.time_ms"))
    text = f"sum: {duration_text(total)}, deadline: {duration_text(deadline)}"
    sums.append((text, f"views.{view['name']}.deadline_ms"))
    over = total - deadline
    helps = [*_shorter(chain, over), *_fewer_rounds(chain, over, view)]
    helps.append(f'or raise the deadline: deadline="{duration_text(math.ceil(total))}"')
    helps.append('or say why it is right: allow_overcommit="..." on the view')
    return [
        Finding(
            "refused" if reason is None else "allowed",
            "TR114",
            view["name"],
            f"the strong parts of view `{view['name']}` do not fit its deadline: "
            f"{equation(chain, kept)} > {duration_text(deadline)}",
            tuple(sums),
            f"the deadline ends the request first, so the timeout of `{chain[-1].part}` cannot "
            "fire: a 504 says less than a part's own timeout",
            tuple(helps),
        )
    ]


def _rows(term: Term, part: Part, view: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [_row(term, part, view)]
    if term.other_ms:
        upstream = part["otherwise"]["upstream"]
        text = f"its stand-in: {duration_text(term.other_ms)}, timeout of upstream `{upstream}`"
        rows.append((text, f"upstreams.{upstream}.timeout_ms"))
    return rows


def _row(term: Term, part: Part, view: dict[str, Any]) -> tuple[str, str]:
    text = f"{term.part}: {duration_text(term.timeout_ms)}"
    if term.rounds > 1:
        items = part["each"]["items_max"]
        text += f" x {term.rounds} rounds of {view['fanout']} ({items} items at most)"
        text += f" = {duration_text(term.own_ms)}"
    if "timeout_ms" in part:
        path = f"views.{view['name']}.parts.{term.part}.timeout_ms"
        return f"{text}, its own timeout", path
    upstream = part["upstream"]
    return f"{text}, timeout of upstream `{upstream}`", f"upstreams.{upstream}.timeout_ms"


def _shorter(chain: tuple[Term, ...], over: float) -> list[str]:
    """The one timeout to shorten, when that is enough, else all of them in proportion."""
    longest = max(chain, key=lambda term: term.own_ms)
    left = _round_down((longest.own_ms - over) / longest.rounds)
    if left >= longest.timeout_ms / 4 or len(chain) == 1:
        return [f'shorten the timeout of `{longest.part}` to "{duration_text(left)}" or less']
    own = sum(term.own_ms for term in chain)
    share = (own - over) / own
    if share <= 0:
        return ["shorten the timeouts of what stands in, or leave out an `otherwise`"]
    shown = [
        f'`{one.part}` "{duration_text(_round_down(one.timeout_ms * share))}"' for one in chain
    ]
    return [f"shorten the timeouts, for example to {', '.join(shown)}"]


def _round_down(ms: float) -> float:
    return float(math.floor(ms)) if ms >= 1 else max(0.001, math.floor(ms * 1000) / 1000)


def _fewer_rounds(chain: tuple[Term, ...], over: float, view: dict[str, Any]) -> list[str]:
    found = []
    for one in chain:
        left = math.floor((one.own_ms - over) / one.timeout_ms)
        if 1 <= left < one.rounds:
            most, noun = left * int(view["fanout"]), "round" if left == 1 else "rounds"
            found.append(f"or cap the list of `{one.part}`: each_max={most} is {left} {noun}")
    return found


def _places(
    view: dict[str, Any], upstreams: list[dict[str, Any]], reason: str | None
) -> list[Finding]:
    """One request must leave a place in every bulkhead it uses. A bulkhead of one is let be where a
    request has one call at a time: nobody could leave a place of it."""
    limits = {row["name"]: int(row["bulkhead"]["limit"]) for row in upstreams}
    found = []
    for upstream, most in in_flight(view).items():
        limit = limits[upstream]
        if most < limit or most == 1:
            continue
        sums = [(text, "") for part in view["parts"] for text in _calls(part, upstream)]
        sums += [
            (f"at once, at most: {most}", f"views.{view['name']}.fanout"),
            (f"bulkhead: {limit}", f"upstreams.{upstream}.bulkhead.limit"),
        ]
        found.append(
            Finding(
                "refused" if reason is None else "allowed",
                "TR115",
                view["name"],
                f"one request of view `{view['name']}` may take {most} places of upstream "
                f"`{upstream}`, which has {limit}",
                tuple(sums),
                "one request would make every other call of this upstream wait, or be refused",
                (
                    f"raise the bulkhead: bulkhead={4 * most} holds four such requests",
                    "or lower the view's fan-out, or `each_max` of the part",
                    'or say why it is right: allow_overcommit="..." on the view',
                ),
            )
        )
    return found


def _calls(part: Part, upstream: str) -> list[str]:
    """What `part` calls of `upstream`: itself, or in its stand-in; nothing when neither does."""
    if part["upstream"] == upstream:
        each = part.get("each")
        calls = f"{each['items_max']} calls, one per item" if each else "1 call"
        return [f"{part['name']}: {calls}"]
    stands_in = part.get("otherwise", {}).get("upstream") == upstream
    return [f"{part['name']}: 1 call, when its own has failed"] if stands_in else []


def _weak(view: dict[str, Any], timeouts: dict[str, float]) -> list[Finding]:
    """A weak part that the deadline cuts off: the reply waits for the deadline and goes without."""
    chain = longest_chain(view, timeouts, "weak")
    deadline = float(view["deadline_ms"]) - computed_ms(view)
    if _sum(chain) <= deadline + ROUNDING_MS:
        return []
    name = chain[-1].part
    return [
        Finding(
            "warned",
            "weak_time",
            view["name"],
            f"weak part `{name}` may be cut off by the deadline: "
            f"{equation(chain)} > {duration_text(deadline)}",
            why="the reply then waits until the deadline for a part that it goes without",
            helps=(f"shorten the timeout of `{name}`",),
        )
    ]


def _turns(view: dict[str, Any], timeouts: dict[str, float]) -> list[Finding]:
    """Calls beyond the fan-out wait for a turn, which is time no timeout covers."""
    deadline = float(view["deadline_ms"]) - computed_ms(view)
    ended = _all_slow(view, timeouts)
    if ended <= deadline + ROUNDING_MS:
        return []
    return [
        Finding(
            "warned",
            "turns",
            view["name"],
            f"calls of view `{view['name']}` wait for their turn: when each takes its whole "
            f"timeout, the strong parts end after {duration_text(ended)} > "
            f"{duration_text(deadline)}",
            why=f"the fan-out is {view['fanout']}, and what waits for a turn uses the deadline up",
            helps=("raise the fan-out, cap lists with `each_max`, or shorten timeouts",),
        )
    ]


def _all_slow(view: dict[str, Any], timeouts: dict[str, float]) -> float:
    """When the last strong part ends if every call takes its whole timeout.

    As the plane does it: parts become ready in declared order, calls take turns first come first
    served, and a stand-in waits for a turn of its own. Calls of one part that start together are
    one entry, so a long list costs little.
    """
    parts: list[Part] = view["parts"]
    free = int(view["fanout"])
    left = {
        part["name"]: int(part["each"]["items_max"]) if part.get("each") else 1 for part in parts
    }
    by_name = {part["name"]: part for part in parts}
    others = {part["name"]: other_of(part, timeouts) for part in parts}
    waiting = list(parts)
    ready: deque[tuple[str, int, float]] = deque()
    running: list[tuple[float, int, int, str]] = []
    now, strong, order = 0.0, 0.0, 0
    while waiting or ready or running:
        for part in [one for one in waiting if not any(left.get(name) for name in needs(one))]:
            waiting.remove(part)
            ready.append((part["name"], left[part["name"]], timeout_of(part, timeouts)))
        while ready and free:
            name, count, takes = ready.popleft()
            begun = min(count, free)
            free -= begun
            order += 1
            heapq.heappush(running, (now + takes, order, begun, name))
            if count > begun:
                ready.appendleft((name, count - begun, takes))
        now, _, ended, name = heapq.heappop(running)
        free += ended
        if other := others.pop(name, 0.0):
            ready.append((name, ended, other))
            continue
        left[name] -= ended
        if by_name[name]["strength"] == "strong" and not left[name]:
            strong = max(strong, now)
    return strong


def _extra(
    view: dict[str, Any], upstreams: list[dict[str, Any]], timeouts: dict[str, float]
) -> list[Finding]:
    """Retries and hedges that a part's time leaves no room for."""
    by_name = {row["name"]: row for row in upstreams}
    found = []
    for part in view["parts"]:
        upstream, most = by_name[part["upstream"]], timeout_of(part, timeouts)
        subject = f"part `{part['name']}` of view `{view['name']}` has {duration_text(most)}"
        retry, hedge = upstream.get("retry") or {}, upstream.get("hedge") or {}
        bound = retry.get("attempt_timeout_ms")
        if bound is not None:
            waits = _waits(retry)
            attempts = int(retry["attempts"])
            if bound * attempts + sum(waits) > most:
                message = (
                    f"{subject}: {attempts} attempts of {duration_text(bound)} and waits of up to "
                    f"{duration_text(sum(waits))} do not fit"
                )
                helps = ("the last attempts get less time, or are refused with `no_time`",)
                found.append(Finding("warned", "retries", view["name"], message, helps=helps))
        delay = hedge.get("delay_min_ms", 0.0)
        if hedge and delay >= most:
            message = f"{subject}: its hedge starts after {duration_text(delay)}, which is too late"
            found.append(Finding("warned", "hedges", view["name"], message))
        if not view["extra_attempts"] and (hedge or bound is not None):
            message = (
                f"part `{part['name']}` can neither retry nor hedge: extra_attempts of view "
                f"`{view['name']}` is 0"
            )
            found.append(Finding("warned", "purse", view["name"], message))
    return found


def _waits(retry: dict[str, Any]) -> list[float]:
    """The longest wait before each retry."""
    first, most = float(retry["backoff_ms"]), float(retry["backoff_max_ms"])
    return [min(most, first * 2**n) for n in range(int(retry["attempts"]) - 1)]
