"""The worst case of a view: stages, time along the strong chain, calls.

The failure prevented: a deadline or a bulkhead chosen by feeling. From a blueprint alone, without
running it: which parts start together, how long the longest chain of timeouts is, and how many
calls and attempts one request can make. Times are bounds of calls, not expectations;
the plane cuts every call at the request's deadline anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Part: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst case of one view."""

    view: str
    stages: tuple[tuple[str, ...], ...]
    """Parts that can start together, stage by stage, in declared order."""
    strong_chain: tuple[str, ...]
    """The strong parts whose timeouts add up to the most, in the order they wait."""
    strong_ms: float
    deadline_ms: float
    calls_max: int
    """Calls one request can make."""
    attempts_max: int
    """Wire attempts of these calls: retries and hedges included, as far as the purse reaches."""
    calls_by_upstream: dict[str, int]
    in_flight_by_upstream: dict[str, int]
    """Calls of one request in flight at once: never more than the fan-out."""

    @property
    def over_ms(self) -> float:
        """How far the strong chain overruns the deadline; 0 when it fits."""
        return max(0.0, self.strong_ms - self.deadline_ms)


def worst_cases(blueprint: dict[str, Any]) -> list[Worst]:
    """One per view, in declared order."""
    timeouts = {row["name"]: float(row["timeout_ms"]) for row in blueprint["upstreams"]}
    per_call = {row["name"]: attempts_per_call(row) for row in blueprint["upstreams"]}
    return [_worst(view, timeouts, per_call) for view in blueprint["views"]]


def attempts_per_call(upstream: dict[str, Any]) -> int:
    """Wire attempts one call may make: each of its tries may have a hedge beside it."""
    tries = int(upstream["retry"]["attempts"]) if upstream.get("retry") else 1
    return tries * 2 if upstream.get("hedge") else tries


def contexts_per_second(rate: float, calls: int) -> float:
    """Task contexts a design with one task per call makes each second (req 4.1).

    8 000 requests/s with 12 calls each are 96 000. A declared view makes none of them: its calls
    run inside the task of their connection.
    """
    return rate * calls


def calls_in_flight(rate: float, mean_ms: float, calls: int = 1) -> float:
    """Little's law: calls in flight at `rate` requests/s of `calls` calls lasting `mean_ms`."""
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
    fanout = int(view["fanout"])
    calls: dict[str, int] = {}
    for part in parts:
        count = int(part["each"]["items_max"]) if part.get("each") else 1
        calls[part["upstream"]] = calls.get(part["upstream"], 0) + count
        other = part.get("otherwise")
        if other:
            calls[other["upstream"]] = calls.get(other["upstream"], 0) + 1
    wanted = sum(count * per_call[name] for name, count in calls.items())
    purse = int(view["extra_attempts"])
    chain, total = _longest_chain(parts, timeouts, fanout)
    return Worst(
        view=view["name"],
        stages=tuple(tuple(stage) for stage in stages(parts)),
        strong_chain=chain,
        strong_ms=total,
        deadline_ms=float(view["deadline_ms"]),
        calls_max=sum(calls.values()),
        attempts_max=min(wanted, sum(calls.values()) + purse),
        calls_by_upstream=calls,
        in_flight_by_upstream={name: min(count, fanout) for name, count in calls.items()},
    )


def _longest_chain(
    parts: list[Part], timeouts: dict[str, float], fanout: int
) -> tuple[tuple[str, ...], float]:
    """The chain of timeouts that ends in a strong part and sums to the most."""
    by_name = {part["name"]: part for part in parts}
    best: dict[str, tuple[float, tuple[str, ...]]] = {}
    for stage in stages(parts):
        for name in stage:
            part = by_name[name]
            timeout = float(part.get("timeout_ms", timeouts[part["upstream"]]))
            before = max((best[one] for one in needs(part) & set(by_name)), default=(0.0, ()))
            total = before[0] + timeout * rounds(part, fanout)
            best[name] = (total, (*before[1], name))
    strong = [best[part["name"]] for part in parts if part["strength"] == "strong"]
    total, chain = max(strong, default=(0.0, ()))
    return chain, total
