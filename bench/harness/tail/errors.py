"""`all-errors`: every upstream answers 503 to every call, while the service may retry.

A retry helps when few calls fail; when all do, blind ones multiply the load of upstreams that are
already failing. What counts is what arrives there, from the first failing call on.
"""

from __future__ import annotations

import re
import time
import urllib.request
from functools import partial
from typing import Any

from harness.lab import Load, Simulated
from harness.machine import BenchError
from harness.measures import free_port
from harness.tail.figures import Figure, Story
from harness.tail.stage import Stage, peer_with, tailrace_with, url

RATE = 500.0
CALLS = 5


def counted(admin_port: int, metric: str) -> float:
    """A counter of tailrace's own, over all its labels."""
    where = f"http://127.0.0.1:{admin_port}/metrics"
    try:
        with urllib.request.urlopen(where, timeout=5) as reply:
            text = reply.read().decode()
    except OSError as error:
        raise BenchError(f"{where}: {error}") from error
    found = re.findall(rf"^{metric}(?:{{[^}}]*}})? ([0-9.e+]+)$", text, re.MULTILINE)
    if not found:
        raise BenchError(f"{where} has no {metric}")
    return sum(map(float, found))


def own_attempts(admin_port: int) -> tuple[float, float]:
    """Attempts and the calls that they were made for, as tailrace counts them."""
    attempts = counted(admin_port, "tailrace_upstream_attempts_total")
    retries = counted(admin_port, "tailrace_upstream_retries_total")
    hedges = counted(admin_port, "tailrace_upstream_hedges_total")
    return attempts, attempts - retries - hedges


def one(stage: Stage, name: str, upstreams: Simulated) -> dict[str, Any]:
    """One peer: all well, then nothing is."""
    admin_port = free_port()
    peer = peer_with(name, "retrying")
    if name == "tailrace":
        peer = tailrace_with("retrying", admin_port=admin_port)
    load = Load(RATE, stage.pick(20, 5), 256)
    upstreams.fault(None)
    with stage.service(peer, upstreams, rate=RATE, warmup_s=2) as server:
        time.sleep(0.3)
        own = own_attempts(admin_port) if name == "tailrace" else None
        before = upstreams.requests()
        upstreams.fault({"kind": "errors", "status": 503})
        loaded = stage.load(url(server), load, upstreams)
        time.sleep(0.3)
        calls = upstreams.requests() - before
        result: dict[str, Any] = {
            "arrived_per_call": calls / (CALLS * max(1, loaded.summary["sent"])),
            "faults": list(loaded.faults),
            "run": loaded.kept(),
        }
        if own is not None:
            attempts, first = own_attempts(admin_port)
            result["attempts_per_call"] = (attempts - own[0]) / max(1, first - own[1])
        upstreams.fault(None)
    return result


def run(stage: Stage) -> Story:
    """Each peer once: a count over thousands of calls is not noisy."""
    story = Story("all-errors", "all upstreams answer 503 to everything")
    with stage.lab.simulated() as upstreams:
        for name in stage.names:
            try:
                result = stage.believed(name, partial(one, stage, name, upstreams))
            except BenchError as error:
                story.faults.append(f"{name}: {error}")
                continue
            story.runs[name] = result
            story.faults += [f"{name}: {fault}" for fault in result["faults"]]
            attempts = result.get("attempts_per_call")
            shown = "" if attempts is None else f", {attempts:.3f} attempts per call that was sent"
            stage.say(f"  {name:<12} {result['arrived_per_call']:.3f} arrived per call{shown}")

    def values(field: str) -> dict[str, float | None]:
        return {name: result.get(field) for name, result in story.runs.items()}

    story.figures = [
        Figure("calls that arrive, per call of the view", "x", values("arrived_per_call"), 1.1),
        Figure("attempts per call that was sent", "x", values("attempts_per_call"), 1.1),
    ]
    return story
