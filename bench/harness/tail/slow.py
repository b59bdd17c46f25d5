"""`slow-2-percent`: two calls in a hundred take 120 ms longer, at random, at every upstream.

With five calls per reply, about every tenth reply meets a slow one, so the slow calls of nobody's
fault decide the 99th percentile of a service that waits for all of them. A second attempt can mend
that; what it costs is counted where it arrives, at the upstreams.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

from harness.lab import Load, Simulated
from harness.machine import BenchError
from harness.tail.figures import Figure, Story
from harness.tail.stage import Stage, peer_with, url

RATE = 1000.0
CALLS = 5  # of one reply
# Everyone's timeouts are above the slow answer, so that slow is slow and not an error.
CALL_MS, DEADLINE_MS = 200, 250


def one(stage: Stage, name: str, upstreams: Simulated, seed: int) -> dict[str, Any]:
    """One peer once: warm with the fault on, so that what it learns is what it meets."""
    peer = peer_with(name, "hedged", call_ms=CALL_MS, deadline_ms=DEADLINE_MS)
    load = Load(RATE, stage.pick(10, 4), 256, seed=seed)
    upstreams.fault(None)
    with stage.service(peer, upstreams, rate=RATE, warmup_s=1) as server:
        upstreams.fault({"kind": "jitter", "adds_ms": 120, "probability": 0.02})
        stage.load(url(server), Load(RATE, stage.pick(6, 4), 256, seed=seed + 100), upstreams)
        time.sleep(0.3)  # the last slow calls end and are counted before the count begins
        before = upstreams.requests()
        loaded = stage.load(url(server), load, upstreams)
        time.sleep(0.3)
        calls = upstreams.requests() - before
        upstreams.fault(None)
    summary = loaded.summary
    return {
        "p99_ms": summary["p99_ms"],
        "p999_ms": summary["p999_ms"],
        "extra_calls": 100 * (calls / (CALLS * max(1, summary["sent"])) - 1),
        "failed_share": 100 * summary["errors"] / max(1, summary["scheduled"]),
        "faults": list(loaded.faults),
        **{"run": loaded.kept()},
    }


def run(stage: Stage) -> Story:
    """Rounds over all peers, so that a noisy minute hits each of them."""
    story = Story("slow-2-percent", "2 % of upstream calls slowed by 120 ms")
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in stage.names}
    with stage.lab.simulated() as upstreams:
        for seed in range(1, stage.rounds() + 1):
            for name in stage.names:
                try:
                    result = stage.believed(name, partial(one, stage, name, upstreams, seed))
                except BenchError as error:
                    story.faults.append(f"{name}: {error}")
                    continue
                rounds[name].append(result)
                story.faults += [f"{name}: {fault}" for fault in result["faults"]]
                stage.say(
                    f"  round {seed}  {name:<12} P99 {result['p99_ms']:.1f} ms, "
                    f"{result['extra_calls']:+.2f} % calls, {result['failed_share']:.2f} % failed"
                )
    story.runs = dict(rounds)

    def median(field: str) -> dict[str, float | None]:
        return {
            name: statistics.median(one[field] for one in results)
            for name, results in rounds.items()
            if results
        }

    story.figures = [
        Figure("P99 of all replies", "ms", median("p99_ms"), 40),
        Figure("calls beyond five per reply", "%", median("extra_calls"), 5),
        Figure("replies that failed", "%", median("failed_share")),
    ]
    return story
