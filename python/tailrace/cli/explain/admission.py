"""Who is let in, on the page of a service: rates, priorities, what goes first under pressure.

The failure prevented: a reply that lacks a part, or a request that was refused, and nobody can say
by which rule. Every line names the rule as its declaration does.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from tailrace.cli._output import WIDTH
from tailrace.quantities import duration_text, share_text


def admission_lines(blueprint: dict[str, Any]) -> Iterator[str]:
    """One line per rule; what is off says so."""
    rules, views = blueprint["admission"], blueprint["views"]
    yield "admission"
    trusted = ", ".join(rules["trusted"]) or "nobody"
    yield from _row("clients", f"known by {rules['client']}; trusted: {trusted}")
    rates = [f"each client {_rate(rules['rate'])}"] if "rate" in rules else []
    rates += [f"view {row['name']} {_rate(row['rate'])}" for row in views if "rate" in row]
    rates += [
        f"upstream {row['name']} {_rate(row['rate'])}"
        for row in blueprint["upstreams"]
        if "rate" in row
    ]
    yield from _row("rates", "; ".join(rates) or "none")
    yield from _row("in progress", f"requests that need {rules['calls_max']} calls")
    yield from _row("left out", _brownout(rules["brownout"], views))
    yield from _row("refused", _shed(rules, views))
    yield from _row("too late", _too_late(rules["feasibility"]))


def left_out(view: dict[str, Any]) -> str:
    """Weak parts in the order in which they go; those of one place together."""
    if "handler" in view:
        return "its weak calls"
    weak = [part for part in view["parts"] if part["strength"] == "weak"]
    placed: dict[int, list[str]] = {}
    for part in weak:
        if "drop" in part:
            placed.setdefault(part["drop"], []).append(part["name"])
    groups = [" and ".join(names) for _, names in sorted(placed.items())]
    groups += [part["name"] for part in reversed(weak) if "drop" not in part]
    return ", ".join(groups)


def _brownout(rules: dict[str, Any] | None, views: list[dict[str, Any]]) -> str:
    if not rules:
        return "off"
    orders = [f"{view['name']}: {left_out(view)}" for view in views if left_out(view)]
    span = f"from {share_text(rules['start'])} to {share_text(rules['full'])} pressure"
    return f"{span}; {'; '.join(orders) or 'no view has a weak part'}"


def _shed(rules: dict[str, Any], views: list[dict[str, Any]]) -> str:
    shed = rules["shed"]
    if not shed:
        return "off"
    cpu = "" if shed["cpu"] is None else f" or {share_text(shed['cpu'])} of the CPU is used"
    worth = [
        f"{view['name']} is {view['priority']}" for view in views if view["priority"] != "critical"
    ]
    own = [f"client {row['client']} is {row['priority']}" for row in rules["priorities"]]
    first = f"; {', '.join(worth + own)}" if worth or own else ""
    return f"by priority, once work waits {duration_text(shed['delay_ms'])}{cpu}{first}"


def _too_late(rules: dict[str, Any] | None) -> str:
    if not rules:
        return "off"
    return f"refused without a call, at most {share_text(rules['refused_max'])} of requests"


def _rate(rate: dict[str, Any]) -> str:
    return f"{rate['per_second']:g}/s, {rate['burst']} at once"


def _row(title: str, text: str) -> list[str]:
    lead = f"  {title:<12} "
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
