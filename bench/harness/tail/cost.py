"""`policy-cost`: what all the policies cost per request, while nothing goes wrong.

The same view in the same run with every policy declared and with every optional one off, and the
floor beside both: a policy that costs more than it saves will be switched off by its users.
"""

from __future__ import annotations

import statistics
from typing import Any

from harness import measures
from harness.lab import Load
from harness.peers import Peer
from harness.tail.figures import Figure, Story
from harness.tail.stage import Stage, peer_of, tailrace_with

RATE = 2000.0


def one(
    bench: measures.Bench, peers: dict[str, Peer], order: list[str], seed: int
) -> dict[str, Any]:
    """One round; a fault in any of the three makes it a round to repeat."""
    results: dict[str, Any] = {n: measures.one_round(bench, peers[n], seed) for n in order}
    faults = [f"{name}: {fault}" for name in order for fault in results[name]["faults"]]
    return {**results, "faults": faults}


def run(stage: Stage) -> Story:
    """Rounds of floor, off and on; ratios are taken within a round."""
    story = Story("policy-cost", "every policy on against every optional one off")
    peers = {
        "floor": peer_of("floor"),
        "off": tailrace_with("off"),
        "on": tailrace_with("on"),
    }
    cpu: dict[str, list[float]] = {name: [] for name in peers}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in peers}
    with stage.lab.upstreams() as upstreams:
        load = Load(RATE, stage.pick(10, 3), 128)
        bench = measures.Bench(stage.lab, load, stage.pick(2, 1), upstreams)
        for seed in range(1, int(stage.pick(5, 2)) + 1):
            # Every second round the other way round: drift of the machine favours nobody.
            order = list(peers) if seed % 2 else ["floor", "on", "off"]
            measured = stage.believed(
                f"round {seed}", lambda o=order, s=seed: one(bench, peers, o, s)
            )
            story.faults += measured["faults"]
            for name in peers:
                cpu[name].append(measured[name]["cpu_us_per_request"])
                rounds[name].append(measured[name])
            last = {name: values[-1] for name, values in cpu.items()}
            stage.say(
                f"  round {seed}  off {last['off']:.1f} us, on {last['on']:.1f} us: "
                f"{100 * (last['on'] / last['off'] - 1):+.1f} %, "
                f"{last['on'] / last['floor']:.2f} floors"
            )
    story.runs = dict(rounds)

    def ratio(above: str, below: str) -> float:
        pairs = zip(cpu[above], cpu[below], strict=True)
        return statistics.median(one / other for one, other in pairs)

    story.figures = [
        Figure("on above off", "%", {"tailrace": 100 * (ratio("on", "off") - 1)}, 8),
        Figure("on", "floors", {"tailrace": ratio("on", "floor")}, 1.4),
        Figure("off", "floors", {"tailrace": ratio("off", "floor")}),
    ]
    return story
