"""`overload`: twice and five times what the service can do, for a minute, and then less again.

A service without admission does all the work and finishes none of it in time; what it needs
afterwards to recover is part of the damage. First the capacity is searched, because a multiple of
a guess is not a multiple; then the rate steps up and falls while replies are told apart by status.

One upstream's body carries a large undeclared field here (METHOD.md says why): the service must
read past it, so its capacity is far below what the generator can offer.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from harness.bodies import SCENARIO
from harness.lab import Load, Simulated
from harness.machine import WORK, BenchError
from harness.peers import Peer
from harness.server import Server
from harness.tail.figures import Figure, Story
from harness.tail.stage import CORE_SHARE_MAX, Stage, peer_with, status, url

DEADLINE_MS = 150
MULTIPLES = (2, 5)
# More than any peer admits at once, so that the clients' number is nobody's protection.
CONNECTIONS = 2500
TIMEOUT_MS = 2000
INTERVAL_S = 0.25
# Undeclared bytes in each heavy answer, and who gives one: an upstream whose part is strong, so
# that nobody's capacity is what remains when weak parts are left out, and which every peer
# projects by a list of what may pass.
HEAVY_BYTES = 256 * 1024
HEAVY = ("users",)
# The load before and after, as a share of the capacity.
CALM = 0.5
STEP = 1.15
STEPS_MAX = 20


def heavy_scenario() -> Path:
    """The order scenario with a large undeclared field in one body."""
    scenario = json.loads(SCENARIO.read_text())
    # Visits per hour, day by day: short values, so that reading costs far more than sending.
    day = [hour % 7 for hour in range(24)]
    count = HEAVY_BYTES // len(json.dumps(day, separators=(",", ":")))
    for upstream in scenario["upstreams"]:
        if upstream["name"] in HEAVY:
            upstream["body"]["visits"] = [day] * count
    path = WORK / "heavy.json"
    path.write_text(json.dumps(scenario))
    return path


def options() -> list[str]:
    """What every load of this scenario has."""
    within = ["--within-ms", str(DEADLINE_MS), "--timeout-ms", str(TIMEOUT_MS)]
    return [*within, "--interval", str(INTERVAL_S)]


def goodput(summary: dict[str, Any], seconds: float) -> float:
    """Replies below 400 within the deadline of their intended start, per second."""
    return float(summary["good"]) / seconds


def step(stage: Stage, server: Server, upstreams: Simulated, rate: float) -> dict[str, Any]:
    """One rate for a few seconds."""
    seconds = stage.pick(4, 2)
    load = Load(rate, seconds, CONNECTIONS)
    loaded = stage.load(url(server), load, upstreams, *options())
    server.must_live()
    got = goodput(loaded.summary, seconds)
    stage.say(f"    {rate:8.0f}/s offered, {got:8.0f}/s good  {'; '.join(loaded.faults)}")
    return {
        "rate": rate,
        "goodput": got,
        "load_core_share": loaded.core_share,
        "faults": list(loaded.faults),
    }


def capacity(stage: Stage, server: Server, upstreams: Simulated) -> dict[str, Any]:
    """The best goodput of any rate: from a rate that is well below, up until nothing is gained.

    Two steps in a row without a gain end the search, and so does the core of the generator.
    """
    guess, before = 100.0, server.cpu()
    stage.load(url(server), Load(guess, 2, 64), upstreams, *options())
    busy = server.cpu().since(before) / 1e9 / 2
    rate = 0.6 * guess / max(busy, 0.01)
    best = step(stage, server, upstreams, rate)
    steps = [best]
    while best["goodput"] < 0.9 * rate and len(steps) < 4:
        rate /= 2
        best = step(stage, server, upstreams, rate)
        steps.append(best)
    without_gain = 0
    while without_gain < 2 and len(steps) < STEPS_MAX:
        rate *= STEP
        steps.append(step(stage, server, upstreams, rate))
        without_gain = 0 if steps[-1]["goodput"] > best["goodput"] * 1.02 else without_gain + 1
        best = max(best, steps[-1], key=lambda one: float(one["goodput"]))
        if steps[-1]["load_core_share"] > CORE_SHARE_MAX:
            break
    if best["goodput"] < 1:
        raise BenchError(f"no good reply at any of {len(steps)} rates")
    return {"peak": best["goodput"], "faults": best["faults"], "steps": steps}


def is_good(line: dict[str, Any]) -> bool:
    """Whether an interval was healthy; nothing that ended, though something was due, is not."""
    ended = line["done"] + line["failed"] + line["timed_out"] + line["unsent"]
    return bool(line["good"] >= 0.95 * max(ended, min(line["scheduled"], 1)))


def recovery_s(intervals: list[dict[str, Any]], fell_at: float) -> float:
    """Seconds from the fall of the load to the first two healthy seconds in a row.

    A service that never has them took at least as long as it was watched.
    """
    after = [line for line in intervals if line["at_s"] > fell_at]
    wanted = round(2 / INTERVAL_S)
    bad_until = fell_at
    healthy = 0
    for line in after:
        healthy = healthy + 1 if is_good(line) else 0
        if healthy == 0:
            bad_until = line["at_s"]
        if healthy == wanted:
            break
    return float(bad_until - fell_at)


def overloaded(
    stage: Stage, server: Server, upstreams: Simulated, peak: float, multiple: int
) -> dict[str, Any]:
    """Calm, then `multiple` times the peak, then calm again, in one run."""
    before, length, after = stage.pick(5, 2), stage.pick(60, 10), stage.pick(12, 6)
    calm = CALM * peak
    stages = f"{calm:g}:{before:g},{multiple * peak:g}:{length:g},{calm:g}:{after:g}"
    load = Load(multiple * peak, before + length + after, CONNECTIONS, seed=multiple)
    loaded = stage.load(url(server), load, upstreams, *options(), shape=stages)
    server.must_live()
    during = loaded.summary["by_stage"][1]
    accepted, shed = status(during, 200), status(during, 429, 503)
    return {
        "offered": multiple * peak,
        "goodput": goodput(during, length),
        "goodput_share": 100 * goodput(during, length) / max(peak, 1),
        "accepted_p99_ms": accepted and accepted["p99_ms"],
        "shed_p99_ms": shed and shed["p99_ms"],
        "shed_share": 100 * shed["count"] / max(1, during["scheduled"]) if shed else 0.0,
        "degraded_share": 100 * during["degraded"] / max(1, during["done"]),
        "recovery_s": recovery_s(loaded.ran.intervals, before + length),
        "calm_good_share": 100
        * loaded.summary["by_stage"][0]["good"]
        / max(1, loaded.summary["by_stage"][0]["scheduled"]),
        "faults": list(loaded.faults),
        "run": loaded.kept(),
        "intervals": [
            [line["at_s"], line["scheduled"], line["good"]] for line in loaded.ran.intervals
        ],
    }


def one(stage: Stage, name: str, peer: Peer, upstreams: Simulated) -> dict[str, Any]:
    """Capacity, then each multiple on a fresh service, so that none inherits a collapse."""
    with stage.service(peer, upstreams, rate=100, warmup_s=2) as server:
        found = capacity(stage, server, upstreams)
    result: dict[str, Any] = {"capacity": found, "faults": []}
    result["faults"] += [f"capacity: {fault}" for fault in found["faults"]]
    for multiple in MULTIPLES:
        rate = min(CALM * found["peak"], 500)
        with stage.service(peer, upstreams, rate=rate, warmup_s=2) as server:
            part = stage.believed(
                f"{name} at {multiple} x",
                partial(overloaded, stage, server, upstreams, found["peak"], multiple),
            )
        result[f"{multiple}x"] = part
        result["faults"] += [f"{multiple}x: {fault}" for fault in part["faults"]]
        accepted, shed = part["accepted_p99_ms"], part["shed_p99_ms"]
        stage.say(
            f"  {name:<12} {multiple} x {found['peak']:.0f}/s: goodput "
            f"{part['goodput_share']:.1f} % of peak, accepted P99 {accepted} ms, "
            f"{part['shed_share']:.0f} % shed with P99 {shed} ms, "
            f"recovered after {part['recovery_s']:.2f} s"
        )
    return result


def run(stage: Stage) -> Story:
    """Every peer against its own capacity."""
    story = Story("overload", "offered load of twice and five times the capacity")
    with stage.lab.simulated(heavy_scenario()) as upstreams:
        for name in stage.names:
            try:
                result = one(stage, name, peer_with(name, "default"), upstreams)
            except BenchError as error:
                story.faults.append(f"{name}: {error}")
                continue
            story.runs[name] = result
            story.faults += [f"{name}, {fault}" for fault in result["faults"]]

    def values(multiple: int, field: str) -> dict[str, float | None]:
        return {name: one[f"{multiple}x"][field] for name, one in story.runs.items()}

    peak = {name: one["capacity"]["peak"] for name, one in story.runs.items()}
    story.figures = [Figure("capacity: good replies per second", "/s", peak)]
    for multiple in MULTIPLES:
        at = f"{multiple} x"
        story.figures += [
            Figure(
                f"{at}: goodput, of the peak", "%", values(multiple, "goodput_share"), 90, False
            ),
            Figure(
                f"{at}: P99 of accepted", "ms", values(multiple, "accepted_p99_ms"), DEADLINE_MS
            ),
            Figure(f"{at}: P99 of shed replies", "ms", values(multiple, "shed_p99_ms"), 5),
            Figure(f"{at}: share shed", "%", values(multiple, "shed_share")),
            Figure(f"{at}: recovery", "s", values(multiple, "recovery_s"), 2),
        ]
    return story
