"""The worst case of a view: stages, time along the strong chain, calls.

The failure prevented: a deadline or a bulkhead chosen by feeling. From a blueprint alone, without
running it: which parts start together, how long the longest chain of timeouts is, and how many
calls and attempts one request can make. Times are bounds of calls, not expectations;
the plane cuts every call at the request's deadline anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Part: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a chain: its calls follow one another in `rounds`, then its stand-in."""

    part: str
    timeout_ms: float
    rounds: int
    other_ms: float = 0.0
    """What the call that stands in may take, after the part's own has taken all its time."""

    @property
    def own_ms(self) -> float:
        return self.timeout_ms * self.rounds

    @property
    def ms(self) -> float:
        return self.own_ms + self.other_ms


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst case of one view."""

    view: str
    stages: tuple[tuple[str, ...], ...]
    """Parts that can start together, stage by stage, in declared order."""
    strong_terms: tuple[Term, ...]
    """The strong parts whose timeouts add up to the most, and those between, as they wait."""
    strong_ms: float
    computed_ms: float
    """Kept for computed fields, after the parts."""
    deadline_ms: float
    calls_max: int
    """Calls one request can make."""
    attempts_max: int
    """Wire attempts of these calls: retries and hedges included, as far as the purse reaches."""
    calls_by_upstream: dict[str, int]
    in_flight_by_upstream: dict[str, int]
    """Calls of one request in flight at once: of parts that can run together, within the
    fan-out."""

    @property
    def strong_chain(self) -> tuple[str, ...]:
        """Names of `strong_terms`."""
        return tuple(term.part for term in self.strong_terms)

    @property
    def over_ms(self) -> float:
        """How far the strong chain overruns the deadline; 0 when it fits."""
        return max(0.0, self.strong_ms + self.computed_ms - self.deadline_ms)


def worst_cases(blueprint: dict[str, Any]) -> list[Worst]:
    """One per view, in declared order."""
    timeouts = timeouts_of(blueprint)
    per_call = {row["name"]: attempts_per_call(row) for row in blueprint["upstreams"]}
    return [_worst(view, timeouts, per_call) for view in blueprint["views"]]


def timeouts_of(blueprint: dict[str, Any]) -> dict[str, float]:
    """The timeout of each upstream, which a part may shorten or lengthen."""
    return {row["name"]: float(row["timeout_ms"]) for row in blueprint["upstreams"]}


def attempts_per_call(upstream: dict[str, Any]) -> int:
    """Wire attempts one call may make: each of its tries may have a hedge beside it."""
    tries = int(upstream["retry"]["attempts"]) if upstream.get("retry") else 1
    return tries * 2 if upstream.get("hedge") else tries


def computed_ms(view: dict[str, Any]) -> float:
    """What is kept of the deadline for computed fields, so that the parts do not have it."""
    return float(view["computed"]["time_ms"]) if "computed" in view else 0.0


def contexts_per_second(rate: float, calls: int) -> float:
    """Task contexts a design with one task per call makes each second (req 4.1).

    8 000 requests/s with 12 calls each are 96 000. A declared view makes none of them: its calls
    run inside the task of their connection.
    """
    return rate * calls


def calls_in_flight(rate: float, mean_ms: float, calls: int = 1) -> float:
    """Little's law: calls in flight at `rate` requests/s of `calls` calls lasting `mean_ms`.

    6 000 requests/s of 40 ms are 240 at once, with four calls each 960 calls (req 9.3).
    """
    return rate * mean_ms / 1000.0 * calls


def needs(part: Part) -> set[str]:
    """Names of the parts that `part` waits for."""
    templates = [*_body(part), part.get("idempotency_key", [])]
    if "when" in part:
        templates.append([part["when"]["value"]])
    for call in [part, part["otherwise"]] if "otherwise" in part else [part]:
        templates += [call["path"]]
        templates += [row["value"] for row in [*call.get("query", []), *call.get("headers", [])]]
    found = {piece["part"]["name"] for one in templates for piece in one if "part" in piece}
    each = part.get("each")
    return found | ({each["part"]} if each else set())


def _body(part: Part) -> list[list[dict[str, Any]]]:
    """The templates in the body of a part's call."""
    body = part.get("body", {})
    form = [row["value"] for row in body.get("form", [])]
    values = [[row["value"]] for row in body.get("json", []) if "value" in row]
    return form + values + [row["string"] for row in body.get("json", []) if "string" in row]


def stages(parts: list[Part]) -> list[list[str]]:
    """Topological levels: a part stands one stage after the last part it waits for."""
    level: dict[str, int] = {}
    known = {part["name"] for part in parts}  # The request's body is read like a part.
    waiting = list(parts)
    while waiting:
        ready = [part for part in waiting if needs(part) & known <= set(level)]
        if not ready:
            names = ", ".join(part["name"] for part in waiting)
            raise ValueError(f"parts wait for each other: {names}")
        for part in ready:
            level[part["name"]] = max((level[name] + 1 for name in needs(part) & known), default=0)
        waiting = [part for part in waiting if part["name"] not in level]
    found: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for part in parts:
        found[level[part["name"]]].append(part["name"])
    return found


def rounds(part: Part, fanout: int) -> int:
    """How many calls of `part` follow one another: a list longer than the fan-out takes turns."""
    each = part.get("each")
    return -(-int(each["items_max"]) // max(1, fanout)) if each else 1


def _worst(view: dict[str, Any], timeouts: dict[str, float], per_call: dict[str, int]) -> Worst:
    parts: list[Part] = view["parts"]
    calls: dict[str, int] = {}
    for part in parts:
        count = int(part["each"]["items_max"]) if part.get("each") else 1
        calls[part["upstream"]] = calls.get(part["upstream"], 0) + count
        other = part.get("otherwise")
        if other:
            calls[other["upstream"]] = calls.get(other["upstream"], 0) + 1
    wanted = sum(count * per_call[name] for name, count in calls.items())
    purse = int(view["extra_attempts"])
    chain = longest_chain(view, timeouts, "strong")
    return Worst(
        view=view["name"],
        stages=tuple(tuple(stage) for stage in stages(parts)),
        strong_terms=chain,
        strong_ms=sum(term.ms for term in chain),
        computed_ms=computed_ms(view),
        deadline_ms=float(view["deadline_ms"]),
        calls_max=sum(calls.values()),
        attempts_max=min(wanted, sum(calls.values()) + purse),
        calls_by_upstream=calls,
        in_flight_by_upstream=in_flight(view),
    )


def longest_chain(view: dict[str, Any], timeouts: dict[str, float], ends: str) -> tuple[Term, ...]:
    """The chain of timeouts that ends in a part of the strength `ends` and sums to the most."""
    best: dict[str, tuple[float, tuple[Term, ...]]] = {}
    by_name = {part["name"]: part for part in view["parts"]}
    for stage in stages(view["parts"]):
        for name in stage:
            part = by_name[name]
            turns = rounds(part, int(view["fanout"]))
            term = Term(name, timeout_of(part, timeouts), turns, other_of(part, timeouts))
            before = max(
                (best[one] for one in needs(part) & set(by_name)), key=_total, default=(0.0, ())
            )
            best[name] = (before[0] + term.ms, (*before[1], term))
    found = [best[part["name"]] for part in view["parts"] if part["strength"] == ends]
    return max(found, key=_total, default=(0.0, ()))[1]


def _total(found: tuple[float, tuple[Term, ...]]) -> float:
    return found[0]


def timeout_of(part: Part, timeouts: dict[str, float]) -> float:
    """What one call of `part` may take: its own timeout, else its upstream's."""
    return float(part.get("timeout_ms", timeouts[part["upstream"]]))


def other_of(part: Part, timeouts: dict[str, float]) -> float:
    """What the call that stands in for `part` may take; 0 without one."""
    return timeouts[part["otherwise"]["upstream"]] if "otherwise" in part else 0.0


def in_flight(view: dict[str, Any]) -> dict[str, int]:
    """By upstream, the most calls of one request in flight at once.

    Parts of which one waits for the other never run together, so the calls that do are the
    heaviest set of parts that do not wait for one another. By Dilworth's theorem it weighs as much
    as the fewest chains that cover every call: all calls, less those that can follow another one.
    A stand-in is one call in the place of its part, whose own goes to another upstream.
    """
    before = _before(view["parts"])
    groups: dict[str, dict[str, int]] = {}
    for part in view["parts"]:
        calls = int(part["each"]["items_max"]) if part.get("each") else 1
        groups.setdefault(part["upstream"], {})[part["name"]] = calls
        if "otherwise" in part:
            groups.setdefault(part["otherwise"]["upstream"], {})[part["name"]] = 1
    found = {}
    for upstream, weights in groups.items():
        follows = {name: [other for other in weights if name in before[other]] for name in weights}
        most = sum(weights.values()) - _followers(weights, follows)
        found[upstream] = min(most, int(view["fanout"]))
    return found


def _before(parts: list[Part]) -> dict[str, set[str]]:
    """All that each part waits for, directly or not."""
    by_name = {part["name"]: part for part in parts}
    found: dict[str, set[str]] = {}
    for stage in stages(parts):
        for name in stage:
            direct = needs(by_name[name]) & set(by_name)
            found[name] = direct.union(*(found[one] for one in direct))
    return found


def _followers(weights: dict[str, int], follows: dict[str, list[str]]) -> int:
    """How many calls can follow a call each: a maximum flow from calls to those that may follow."""
    flow, total = _Flow(follows, dict(weights)), 0
    for name, weight in weights.items():
        free = weight
        while free:
            amount = flow.augment(name, free, set())
            if not amount:
                break
            free -= amount
            total += amount
    return total


@dataclass(slots=True)
class _Flow:
    """Calls of one part that are followed by calls of another."""

    follows: dict[str, list[str]]
    open: dict[str, int]
    """Calls of each part that follow nothing yet."""
    sent: dict[tuple[str, str], int] = field(default_factory=dict)

    def augment(self, name: str, amount: int, seen: set[str]) -> int:
        """Sends up to `amount` from `name`, moving what others sent where they have another way."""
        for other in self.follows[name]:
            if other in seen:
                continue
            seen.add(other)
            moved = min(amount, self.open[other])
            self.open[other] -= moved
            for rival in self.follows:
                held = self.sent.get((rival, other), 0)
                if not moved and held and rival != name:
                    moved = self.augment(rival, min(amount, held), seen)
                    self.sent[rival, other] = held - moved
            if moved:
                self.sent[name, other] = self.sent.get((name, other), 0) + moved
                return moved
        return 0
