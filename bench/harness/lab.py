"""The simulated upstreams and the open-loop load, both from the `tailrace-lab` binary.

A generator that cannot keep its own schedule would make every peer look slow, so its summary is
believed only when it says it was not the limit, sent all that was scheduled and saw no error.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.machine import ROOT, WORK, BenchError, Cores
from harness.server import Server, running

NAMES = ("orders", "users", "inventory", "coupons", "recommend")


@dataclass(frozen=True)
class Load:
    """What the clients do."""

    rate: float
    seconds: float
    connections: int
    seed: int = 1
    ids: int = 1000


@dataclass(frozen=True)
class Lab:
    """The lab binary and the core it runs on."""

    binary: Path
    cores: Cores

    @contextlib.contextmanager
    def upstreams(self) -> Iterator[tuple[str, ...]]:
        """Run the five upstreams of the order scenario, answering after a constant 5 ms.

        They listen on ports the system chooses, so that a demo beside the benchmark is not measured
        by accident. Yields their addresses in the order every peer takes them.
        """
        argv = [str(self.binary), "upstreams", "--scenario", "orders"]
        argv += ["--port-base", "0", "--admin-port", "0"]
        log = WORK / "logs" / "upstreams.log"
        with running(argv, port=0, cores={self.cores.load}, log=log) as server:
            yield read_addresses(server)
            server.must_live()

    def load(self, url: str, load: Load) -> dict[str, Any]:
        """Run the clients and return the generator's summary."""
        argv = [
            str(self.binary),
            "load",
            *("--url", url),
            *("--rate", f"{load.rate:g}"),
            *("--seconds", f"{load.seconds:g}"),
            *("--connections", str(load.connections)),
            *("--arrivals", "poisson"),
            *("--ids", str(load.ids)),
            *("--warmup", "0"),
            *("--seed", str(load.seed)),
        ]
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            timeout=load.seconds + 60,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.cores.load}),
        )
        return read_summary(done)


def read_addresses(server: Server, limit_s: float = 10.0) -> tuple[str, ...]:
    """Wait for the line in which the upstreams say where they listen."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        server.must_live()
        for line in server.log.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                ready = json.loads(line)
                found = {one["name"]: one["address"] for one in ready["upstreams"]}
                return tuple(f"http://{found[name]}" for name in NAMES)
        time.sleep(0.02)
    raise BenchError(f"the upstreams did not say where they listen:\n{server.log_tail()}")


def read_summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The last JSON line of the generator."""
    for line in reversed(done.stdout.splitlines()):
        with contextlib.suppress(json.JSONDecodeError):
            record = json.loads(line)
            if isinstance(record, dict) and record.get("type") == "summary":
                return record
    raise BenchError(
        f"the load generator printed no summary (exit {done.returncode}):\n{done.stderr[-800:]}"
    )


def faults_of(summary: dict[str, Any]) -> list[str]:
    """Why a run must not count, in words; empty when it counts."""
    faults = []
    if summary.get("generator_limited"):
        faults.append("the generator was the limit")
    if summary.get("errors"):
        faults.append(f"{summary['errors']} errors")
    if summary.get("degraded"):
        faults.append(f"{summary['degraded']} degraded replies")
    if summary["done"] < summary["scheduled"]:
        faults.append(f"only {summary['done']} of {summary['scheduled']} requests done")
    return faults


def build_lab() -> Path:
    """Build the lab as it is published, and return its path."""
    argv = ["cargo", "build", "--profile", "dist", "-p", "tailrace-lab"]
    if subprocess.run(argv, cwd=ROOT, check=False).returncode != 0:
        raise BenchError("building tailrace-lab failed: " + " ".join(argv))
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "dist" / "tailrace-lab"
