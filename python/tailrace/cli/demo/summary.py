"""What the demo measured, on one screen: before, during and after the fault.

The failure prevented: figures without the method. Each column is one load run (see ``story``), each
share is of what was scheduled; how it was measured stands below, and so does whether the generator
itself was the limit.
"""

from __future__ import annotations

import textwrap
from typing import Any

from tailrace.cli._output import WIDTH
from tailrace.cli.demo.addresses import USUAL, Addresses
from tailrace.cli.demo.screens import duration
from tailrace.cli.demo.stage import CLIENT_MS, ROUTE, SIDES
from tailrace.cli.demo.story import FAULT, VICTIM, Act


def figures(summary: dict[str, Any]) -> dict[str, Any]:
    """The figures of one act and one service."""
    scheduled = max(1, summary["scheduled"])
    return {
        "scheduled": summary["scheduled"],
        "sent": summary["sent"],
        "done": summary["done"],
        "errors": summary["errors"],
        "degraded": summary["degraded"],
        "error_share": summary["errors"] / scheduled,
        "degraded_share": summary["degraded"] / scheduled,
        "p50_ms": summary["p50_ms"],
        "p95_ms": summary["p95_ms"],
        "p99_ms": summary["p99_ms"],
        "max_ms": summary["max_ms"],
        "generator_limited": summary["generator_limited"],
    }


def as_json(acts: list[Act]) -> dict[str, Any]:
    """All of it, as data."""
    return {
        "type": "summary",
        "fault": {"upstream": VICTIM, **FAULT},
        "client_timeout_ms": CLIENT_MS,
        "acts": {act.name: {side: figures(act.summaries[side]) for side in SIDES} for act in acts},
    }


def text(acts: list[Act], rate: float, profile: str) -> str:
    """All of it, for a person."""
    titles = {"before": "before", "during": f"{VICTIM} hangs", "after": "healed"}
    lines = ["", f"{'':<10}" + "".join(f"{titles[act.name]:^23}" for act in acts).rstrip()]
    lines.append(f"{'':<10}" + f"{'p99':>9}{'err':>7}{'degr':>7}" * len(acts))
    for side in SIDES:
        cells = ""
        for act in acts:
            one = figures(act.summaries[side])
            cells += f"{duration(one['p99_ms']):>9}"
            cells += f"{_percent(one['error_share']):>7}{_percent(one['degraded_share']):>7}"
        lines.append(f"{side:<10}{cells}")
    lines += ["", *_wrap(_verdict(acts)), "", *_wrap(_method(acts, rate))]
    if profile == "debug":
        lines += _wrap("This is a debug build: the comparison holds, the milliseconds do not.")
    return "\n".join(lines)


def _verdict(acts: list[Act]) -> str:
    during = next(act for act in acts if act.name == "during")
    naive, governed = (figures(during.summaries[side]) for side in SIDES)
    return (
        f"While {VICTIM} hung: of the naive service's {naive['scheduled']} replies"
        f" {_percent(naive['error_share'])} failed or came after {duration(CLIENT_MS)}, and its P99"
        f" was {duration(naive['p99_ms'])}. Of the governed service's {governed['scheduled']}"
        f" {_percent(governed['error_share'])} failed, {_percent(governed['degraded_share'])} came"
        f" without {VICTIM} and said so, and its P99 was {duration(governed['p99_ms'])}."
    )


def _method(acts: list[Act], rate: float) -> str:
    every = [act.summaries[side] for act in acts for side in SIDES]
    counts = {name: sum(one[name] for one in every) for name in ("scheduled", "sent", "done")}
    busiest = max(one["generator_cpu_share"] for one in every)
    limited = any(one["generator_limited"] for one in every)
    verdict = (
        "the generator itself was the limit at times, so these figures are not to be quoted"
        if limited
        else "the generator kept its schedule"
    )
    return (
        f"Measured: open loop, {rate:g} requests/s to each service with Poisson arrivals, latency"
        f" from the intended start, clients give up after {duration(CLIENT_MS)}."
        f" {counts['scheduled']} scheduled, {counts['sent']} sent, {counts['done']} answered;"
        f" generator CPU at most {_percent(busiest)}: {verdict}."
    )


def next_steps(at: Addresses, *, held: bool) -> str:
    """Lines that work while the demo runs."""
    # A later run has ports of its own, the usual ones where it can.
    admin = "" if not held or at.lab_admin_port == USUAL["lab_admin_port"] else at.lab_admin
    admin = f" --admin {admin}" if admin else ""
    reply = at.governed + ROUTE.format(id="o-1")
    steps = (
        (f"tailrace fault {VICTIM} --hang{admin}", "a weak part: degraded, in time"),
        (f"tailrace fault inventory --errors 0.5{admin}", "a strong part: 502, at once"),
        (f"tailrace fault --off{admin}", "all well again"),
        (f"curl -i {reply}", "one reply"),
        (f"curl {at.admin}/metrics", "metrics"),
    )
    lead = "It keeps running. Try in another terminal:"
    if not held:
        lead = "Try next: `tailrace demo --hold`, and while it runs, in another terminal:"
    width = max(len(command) for command, _ in steps)
    fits = 2 + width + 2 + max(len(what) for _, what in steps) <= WIDTH
    lines = [f"  {command:<{width}}  {what}" if fits else f"  {command}" for command, what in steps]
    return "\n".join(["", lead, *lines])


def _percent(share: float) -> str:
    """A share that is neither none nor all is never shown as one of them."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share:.1%}".replace(".0%", "%")


def _wrap(paragraph: str) -> list[str]:
    return textwrap.wrap(paragraph, WIDTH, break_on_hyphens=False)
