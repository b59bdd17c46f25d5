"""`policy-cost`: what all the policies cost per request, while nothing goes wrong.

The same view in the same run with every policy declared and with every optional one off, and the
floor beside both: a policy that costs more than it saves will be switched off by its users. What is
looked for is a few per cent, and a minute of this machine differs from the next by more: so all
three run from the beginning, and take turns of two seconds.
"""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from harness import measures
from harness.lab import Load
from harness.peers import Peer
from harness.server import Server
from harness.tail.figures import Figure, Story
from harness.tail.stage import Stage, peer_of, tailrace_with, url

RATE = 2000.0
TURN_S = 2.0
# Before each turn, uncounted: who has waited longer than its idle connections live opens them anew.
WARM_S = 0.5


def one(
    bench: measures.Bench, peers: dict[str, Peer], servers: dict[str, Server], seed: int
) -> dict[str, Any]:
    """A turn of each; a fault in any of the three makes it a round to repeat."""
    names = list(peers)
    # Another one is first each time: what changes during a round favours nobody.
    order = names[seed % len(names) :] + names[: seed % len(names)]
    warm = replace(bench.load, seconds=WARM_S, seed=seed)
    results: dict[str, Any] = {}
    for name in order:
        bench.lab.load(url(servers[name]), warm)
        results[name] = measures.measure(bench, peers[name], servers[name], seed)
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
    with stage.lab.upstreams() as upstreams, ExitStack() as stack:
        bench = measures.Bench(stage.lab, Load(RATE, TURN_S, 128), TURN_S, upstreams)
        servers = {
            name: stack.enter_context(measures.started(bench, peer, {stage.lab.cores.sut}))
            for name, peer in peers.items()
        }
        for seed in range(1, int(stage.pick(30, 4)) + 1):
            measured = stage.believed(f"round {seed}", partial(one, bench, peers, servers, seed))
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
