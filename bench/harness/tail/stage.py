"""What every scenario stands on: the lab, the peers, how long, and whether a load may be believed.

A scenario that shares its core with a generator at its limit would blame the service for the
generator's queue. So each load is run here, and the verdict covers the generator by its own account
and the whole core that it shares with the upstreams.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from harness import measures
from harness.lab import Lab, Load, Ran, Simulated
from harness.machine import BenchError
from harness.peers import ALL, PEERS, VENV, Command, Peer, Start, python_env
from harness.server import Server

SIDE_BY_SIDE = ("tailrace", "go-governed", "lura")
# Above this the generator and the upstreams wait for each other on the core they share.
CORE_SHARE_MAX = 0.90


@dataclass(frozen=True)
class Stage:
    """One run of the whole: the lab, who takes part, how long, and where progress is told."""

    lab: Lab
    names: tuple[str, ...]
    quick: bool
    say: Callable[[str], None]

    def pick(self, full: float, quick: float) -> float:
        """A length, or a shorter one for a look while working."""
        return quick if self.quick else full

    def rounds(self) -> int:
        """How often a comparison is repeated."""
        return 1 if self.quick else 3

    @contextmanager
    def service(
        self, peer: Peer, upstreams: Simulated, *, rate: float, warmup_s: float
    ) -> Iterator[Server]:
        """A fresh peer on its core, whose replies were compared, warm at this rate."""
        load = Load(rate=rate, seconds=warmup_s, connections=128)
        bench = measures.Bench(self.lab, load, warmup_s, upstreams.addresses)
        with measures.started(bench, peer, {self.lab.cores.sut}) as server:
            yield server

    def believed(self, who: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A measure without faults, in at most three attempts.

        The choice looks at faults only, never at a figure, and the result says what was discarded.
        """
        discarded: list[list[str]] = []
        while True:
            result = measure()
            if not result["faults"] or self.quick or len(discarded) == 2:
                return {**result, "discarded": discarded}
            discarded.append(result["faults"])
            self.say(f"  {who} is measured again: {'; '.join(result['faults'])}")

    def load(
        self, url: str, load: Load, upstreams: Simulated, *options: str, shape: str | None = None
    ) -> Loaded:
        """One load, or stages of it, with what the shared core did meanwhile."""
        return self.loads([(url, load, [*shaped(load, shape), *options])], upstreams)[0]

    def loads(
        self, all_of: list[tuple[str, Load, list[str]]], upstreams: Simulated
    ) -> list[Loaded]:
        """Several loads side by side; whether they may be believed is one verdict for all."""
        before, began = upstreams.server.cpu(), time.monotonic()
        ran = self.lab.together(all_of)
        took = time.monotonic() - began
        share = upstreams.server.cpu().since(before) / 1e9 / took
        share += sum(one.summary["generator_cpu_share"] for one in ran)
        faults = [] if share <= CORE_SHARE_MAX else [f"the load core was {share:.0%} busy"]
        for one in ran:
            faults += one.summary["generator_limits"]
        return [Loaded(one, tuple(faults), share) for one in ran]


def shaped(load: Load, stages: str | None) -> list[str]:
    """The options that say how much and when."""
    return ["--stages", stages] if stages else load.shape


@dataclass(frozen=True)
class Loaded:
    """A finished load."""

    ran: Ran
    faults: tuple[str, ...]
    core_share: float

    @property
    def summary(self) -> dict[str, Any]:
        """The generator's summary."""
        return self.ran.summary

    def kept(self) -> dict[str, Any]:
        """What of it goes into the result file."""
        return {"load_core_share": round(self.core_share, 3), **self.summary}


def status(summary: dict[str, Any], *codes: int) -> dict[str, Any] | None:
    """Count and slowest percentiles of the replies with one of these statuses, if there are any."""
    found = [summary["replies"][str(code)] for code in codes if str(code) in summary["replies"]]
    if not found:
        return None
    merged = {name: max(one[name] for one in found) for name in ("p50_ms", "p99_ms", "max_ms")}
    return {**merged, "count": sum(one["count"] for one in found)}


def url(server: Server, view: str = "orders") -> str:
    """The address of a view, with the place where the generator puts an id."""
    return f"http://127.0.0.1:{server.port}/api/{view}/{{id}}"


def tailrace_with(
    policies: str, *, call_ms: int = 100, deadline_ms: int = 150, admin_port: int = 0
) -> Peer:
    """tailrace with the policies of this name in `bench/peers/tailrace/tail.py`."""

    def command(start: Start) -> Command:
        argv = [str(VENV / "bin" / "tailrace"), "serve", "tail:service"]
        argv += ["--port", str(start.port), "--admin-port", str(admin_port)]
        argv += ["--workers", str(start.workers)]
        argv += ["--access-log", str(start.work / "access.log")]
        env = {"BENCH_POLICIES": policies, **limits(call_ms, deadline_ms)}
        return Command(argv, {**python_env(start), **env}, PEERS / "tailrace")

    title = f"tailrace, policies: {policies}"
    return replace(peer_of("tailrace"), title=title, command=command)


def limits(call_ms: int, deadline_ms: int) -> dict[str, str]:
    """The two limits every peer here takes from its environment, Lura excepted."""
    return {"CALL_TIMEOUT_MS": str(call_ms), "DEADLINE_MS": str(deadline_ms)}


def peer_with(name: str, policies: str, *, call_ms: int = 100, deadline_ms: int = 150) -> Peer:
    """One of those side by side; what the policies say is for tailrace, peers are as they are."""
    if name == "tailrace":
        return tailrace_with(policies, call_ms=call_ms, deadline_ms=deadline_ms)
    peer = peer_of(name)

    def command(start: Start) -> Command:
        usual = peer.command(start)
        return replace(usual, env={**usual.env, **limits(call_ms, deadline_ms)})

    return replace(peer, command=command)


def peer_of(name: str) -> Peer:
    """A peer by its name."""
    for peer in ALL:
        if peer.name == name:
            return peer
    raise BenchError(f"no peer {name!r}")
