"""`one-hangs`: one of five upstreams takes connections and never answers.

First a weak part's upstream, then a strong part's. What may happen to the view that needs it is
bounded by its own limits, and a second view that does not need it must not notice.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

from harness import bodies
from harness.lab import Load, Simulated
from harness.machine import BenchError
from harness.server import Server
from harness.tail.figures import Figure, Story
from harness.tail.stage import Loaded, Stage, peer_with, shaped, status, url

RATE, OTHER_RATE = 300.0, 700.0
CALL_MS, DEADLINE_MS = 100, 150
# What a reply may be later than its limit, seen by the client.
GRACE_MS = 10
# What was well half a minute ago still speaks for an upstream; then nothing does.
LEARNING_S = 35
WEAK, STRONG = "recommend", "inventory"
HANG = {"kind": "hang"}


def both(
    stage: Stage, server: Server, upstreams: Simulated, seconds: float, seed: int
) -> tuple[Loaded, Loaded]:
    """The view that needs all five and the one that needs three, at the same time."""
    view = Load(RATE, seconds, 256, seed=seed)
    other = Load(OTHER_RATE, seconds, 128, seed=seed + 50)
    first, second = stage.loads(
        [
            (url(server), view, shaped(view, None)),
            (url(server, "buyers"), other, shaped(other, None)),
        ],
        upstreams,
    )
    return first, second


def settle(stage: Stage, server: Server, upstreams: Simulated) -> None:
    """Healthy load until what was learned about the fault has left the windows."""
    calm = Load(RATE, stage.pick(4, 1), 128)
    stage.load(url(server), calm, upstreams)


def weak(stage: Stage, name: str, upstreams: Simulated) -> dict[str, Any]:
    """Healthy and hanging in turn; the other view's P99 of one against the other."""
    healthy, hanging, views, faults = [], [], [], []
    with stage.service(peer_with(name, "default"), upstreams, rate=RATE, warmup_s=2) as server:
        bodies.check_buyers(server.port, name)
        for seed in range(1, stage.rounds() + 1):
            for fault, into in ((None, healthy), (HANG, hanging)):
                upstreams.fault(fault, WEAK)
                view, other = both(stage, server, upstreams, stage.pick(10, 4), seed)
                into.append(other.summary["p99_ms"])
                faults += view.faults
                if fault:
                    views.append(view.kept())
            upstreams.fault(None)
            settle(stage, server, upstreams)
    done = sum(one["done"] for one in views)
    good = sum(one["statuses"].get("200", 0) for one in views)
    due = sum(one["scheduled"] for one in views)
    return {
        "not_200": due - good,
        "degraded": sum(one["degraded"] for one in views),
        "done": done,
        "max_ms": max(one["max_ms"] for one in views),
        "p99_ms": max(one["p99_ms"] for one in views),
        "other_healthy_ms": healthy,
        "other_hanging_ms": hanging,
        "faults": faults,
        "views": views,
    }


def strong(stage: Stage, name: str, upstreams: Simulated) -> dict[str, Any]:
    """A fresh service: a moment of health, then the hang, first unknown and then learned."""
    learning, learned = stage.pick(LEARNING_S, 10), stage.pick(15, 5)
    load = Load(RATE, learning + learned, 256, seed=7)
    other = Load(OTHER_RATE, learning + learned, 128, seed=57)
    upstreams.fault(None)
    with stage.service(peer_with(name, "default"), upstreams, rate=RATE, warmup_s=1) as server:
        _, before = both(stage, server, upstreams, stage.pick(10, 3), 3)
        upstreams.fault(HANG, STRONG)
        stages = f"{RATE:g}:{learning:g},{RATE:g}:{learned:g}"
        view, beside = stage.loads(
            [
                (url(server), load, shaped(load, stages)),
                (url(server, "buyers"), other, shaped(other, None)),
            ],
            upstreams,
        )
        upstreams.fault(None)
        time.sleep(0.3)
    late = status(view.summary, 504)
    refused = status(view.summary["by_stage"][1], 503)
    after = view.summary["by_stage"][1]
    return {
        "late_ms": late and late["max_ms"],
        "late_p99_ms": late and late["p99_ms"],
        "refused_p99_ms": refused and refused["p99_ms"],
        "refused_p50_ms": refused and refused["p50_ms"],
        "refused_share": 100 * refused["count"] / max(1, after["done"]) if refused else 0.0,
        "other_healthy_ms": [before.summary["p99_ms"]],
        "other_hanging_ms": [beside.summary["p99_ms"]],
        "faults": list(before.faults + view.faults),
        "view": view.kept(),
    }


def moved(result: dict[str, Any]) -> float:
    """By how much the other view's P99 moved, in percent, from the medians over rounds."""
    healthy = statistics.median(result["other_healthy_ms"])
    return 100 * (statistics.median(result["other_hanging_ms"]) / healthy - 1)


def run(stage: Stage) -> Story:
    """Both stories for every peer."""
    story = Story("one-hangs", "one of five upstreams hangs")
    with stage.lab.simulated() as upstreams:
        for name in stage.names:
            try:
                one = {
                    kind: stage.believed(f"{name}, {kind}", partial(tell, stage, name, upstreams))
                    for kind, tell in (("weak", weak), ("strong", strong))
                }
            except BenchError as error:
                story.faults.append(f"{name}: {error}")
                continue
            story.runs[name] = one
            for kind, result in one.items():
                story.faults += [f"{name}, {kind}: {fault}" for fault in result["faults"]]
            stage.say(line_of(name, one))
    story.figures = figures(story.runs)
    return story


def line_of(name: str, one: dict[str, Any]) -> str:
    """Both stories of one peer as a line of text."""
    weak, strong = one["weak"], one["strong"]
    return (
        f"  {name:<12} weak: {weak['not_200']} of {weak['done']} not 200, latest "
        f"{weak['max_ms']:.1f} ms, others {moved(weak):+.1f} %; strong: 504 after "
        f"{strong['late_ms']} ms, 503 P99 {strong['refused_p99_ms']} ms, "
        f"others {moved(strong):+.1f} %"
    )


def figures(runs: dict[str, Any]) -> list[Figure]:
    """Weak first, then strong."""

    def values(kind: str, field: str) -> dict[str, float | None]:
        return {name: one[kind][field] for name, one in runs.items()}

    def others(kind: str) -> dict[str, float | None]:
        return {name: moved(one[kind]) for name, one in runs.items()}

    return [
        Figure("weak hangs: replies that are not 200", "", values("weak", "not_200"), 0),
        Figure("weak hangs: latest reply", "ms", values("weak", "max_ms"), CALL_MS + GRACE_MS),
        Figure("weak hangs: the other view's P99 moves", "%", others("weak"), 10),
        Figure(
            "strong hangs: latest 504", "ms", values("strong", "late_ms"), DEADLINE_MS + GRACE_MS
        ),
        Figure(
            "strong hangs, learned: P99 of the 503s", "ms", values("strong", "refused_p99_ms"), 1
        ),
        Figure("strong hangs, learned: share of 503", "%", values("strong", "refused_share")),
        Figure("strong hangs: the other view's P99 moves", "%", others("strong"), 10),
    ]
