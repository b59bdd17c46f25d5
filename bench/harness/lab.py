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
from collections.abc import Iterator, Sequence
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

    @property
    def shape(self) -> list[str]:
        """The generator's options that say how much and when."""
        return ["--rate", f"{self.rate:g}", "--seconds", f"{self.seconds:g}"]


@dataclass(frozen=True)
class Lab:
    """The lab binary and the core it runs on."""

    binary: Path
    cores: Cores

    @contextlib.contextmanager
    def upstreams(self) -> Iterator[tuple[str, ...]]:
        """The addresses of the simulated upstreams, for who does not change what they do."""
        with self.simulated() as upstreams:
            yield upstreams.addresses

    @contextlib.contextmanager
    def simulated(self, config: Path | None = None) -> Iterator[Simulated]:
        """Run the five upstreams of the order scenario, answering after a constant 5 ms.

        They listen on ports the system chooses, so that a demo beside the benchmark is not measured
        by accident. `config` is a scenario of one's own with the same names.
        """
        scenario = ["--config", str(config)] if config else ["--scenario", "orders"]
        argv = [str(self.binary), "upstreams", *scenario]
        argv += ["--port-base", "0", "--admin-port", "0"]
        log = WORK / "logs" / "upstreams.log"
        with running(argv, port=0, cores={self.cores.load}, log=log) as server:
            yield Simulated(server, read_ready(server))
            server.must_live()

    def load(self, url: str, load: Load) -> dict[str, Any]:
        """Run the clients and return the generator's summary."""
        return self.run(url, load, load.shape).summary

    def run(self, url: str, load: Load, shape: list[str]) -> Ran:
        """Run the clients, with the options that say how much and when, and return all it said."""
        done = subprocess.run(
            self.command(url, load, shape),
            capture_output=True,
            text=True,
            check=False,
            timeout=load.seconds + 60,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.cores.load}),
        )
        return read_run(done.stdout, done.stderr, done.returncode)

    def together(self, all_of: Sequence[tuple[str, Load, list[str]]]) -> list[Ran]:
        """Several loads at once, each of clients of its own."""
        started = [self.beside(url, load, shape) for url, load, shape in all_of]
        try:
            ran = []
            for process, (_, load, _) in zip(started, all_of, strict=True):
                stdout, stderr = process.communicate(timeout=load.seconds + 60)
                ran.append(read_run(stdout, stderr, process.returncode))
        finally:
            for process in started:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        return ran

    def beside(self, url: str, load: Load, shape: list[str]) -> subprocess.Popen[str]:
        """As `run`, and do not wait."""
        return subprocess.Popen(
            self.command(url, load, shape),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.cores.load}),  # noqa: PLW1509
        )

    def command(self, url: str, load: Load, shape: list[str]) -> list[str]:
        """The generator's command line."""
        return [
            str(self.binary),
            "load",
            *("--url", url),
            *shape,
            *("--connections", str(load.connections)),
            *("--arrivals", "poisson"),
            *("--ids", str(load.ids)),
            *("--warmup", "0"),
            *("--seed", str(load.seed)),
        ]


@dataclass(frozen=True)
class Ran:
    """What the generator said: a line per interval, and the summary."""

    summary: dict[str, Any]
    intervals: list[dict[str, Any]]


class Simulated:
    """Simulated upstreams that run, and the port that changes what they do."""

    def __init__(self, server: Server, ready: dict[str, Any]) -> None:
        found = {one["name"]: one["address"] for one in ready["upstreams"]}
        self.server = server
        self.addresses = tuple(f"http://{found[name]}" for name in NAMES)
        self.admin = f"http://{ready['admin']}"

    def ask(self, path: str, change: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request to the admin port; with a change it is a POST."""
        data = None if change is None else json.dumps(change).encode()
        request = urllib.request.Request(self.admin + path, data=data)
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                answer = json.loads(reply.read())
        except (OSError, json.JSONDecodeError) as error:
            raise BenchError(f"the upstreams' admin port: {path}: {error}") from error
        return answer if isinstance(answer, dict) else {}

    def fault(self, fault: dict[str, Any] | None, *names: str) -> None:
        """Give upstreams a fault (all of them when none is named), or take it away."""
        for name in names or NAMES:
            self.ask(f"/upstreams/{name}", {"fault": fault})

    def reset(self) -> None:
        """Back to the scenario: no fault, and requests counted from 0."""
        self.ask("/reset", {})

    def requests(self) -> int:
        """Requests that arrived at any of them since the reset."""
        return sum(one["requests"] for one in self.ask("/state")["upstreams"])


def read_ready(server: Server, limit_s: float = 10.0) -> dict[str, Any]:
    """Wait for the line in which the upstreams say where they listen."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        server.must_live()
        for line in server.log.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                ready = json.loads(line)
                if isinstance(ready, dict) and "upstreams" in ready:
                    return ready
        time.sleep(0.02)
    raise BenchError(f"the upstreams did not say where they listen:\n{server.log_tail()}")


def read_run(stdout: str, stderr: str, code: int) -> Ran:
    """The JSON lines of the generator."""
    intervals = []
    for line in stdout.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            record = json.loads(line)
            if isinstance(record, dict) and record.get("type") == "interval":
                intervals.append(record)
            if isinstance(record, dict) and record.get("type") == "summary":
                return Ran(record, intervals)
    raise BenchError(f"the load generator printed no summary (exit {code}):\n{stderr[-800:]}")


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
