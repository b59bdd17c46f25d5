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
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.machine import ROOT, WORK, BenchError, Cores
from harness.server import Server, running

NAMES = ("orders", "users", "inventory", "coupons", "recommend")
FIRST_PORT = 9101


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

    @staticmethod
    def addresses() -> list[str]:
        """The five upstream addresses, in the order every peer takes them."""
        return [f"http://127.0.0.1:{FIRST_PORT + i}" for i in range(len(NAMES))]

    @contextlib.contextmanager
    def upstreams(self) -> Iterator[None]:
        """The five upstreams of the order scenario, answering after a constant 5 ms."""
        argv = [str(self.binary), "upstreams", "--scenario", "orders"]
        with running(
            argv, port=FIRST_PORT, cores={self.cores.load}, log=WORK / "logs" / "upstreams.log"
        ) as server:
            for index, name in enumerate(NAMES):
                wait_for_upstream(server, FIRST_PORT + index, name)
            yield
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


def wait_for_upstream(server: Server, port: int, name: str) -> None:
    """Wait until one upstream answers its own path."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        server.must_live()
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}/1", timeout=2) as reply:
                json.load(reply)
                return
        time.sleep(0.05)
    raise BenchError(f"upstream {name} does not answer on port {port}:\n{server.log_tail()}")


def read_summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The last JSON line of the generator."""
    for line in reversed(done.stdout.splitlines()):
        with contextlib.suppress(json.JSONDecodeError):
            record = json.loads(line)
            if isinstance(record, dict) and record.get("type") == "summary":
                return record
    raise BenchError(f"the load generator printed no summary (exit {done.returncode}):\n"
                     f"{done.stderr[-800:]}")


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
