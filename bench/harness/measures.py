"""The measures: one round, idle connections, two workers against one, system calls, profile.

Each starts a fresh process, so no peer inherits another's heap, and each warms it up with the same
load before the counters are read.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import bodies
from harness.lab import Lab, Load, faults_of
from harness.machine import WORK, BenchError
from harness.peers import Peer, Start
from harness.server import Server, running

IDLE_CONNECTIONS = 5000
# Of the scaling measure: seconds of load per turn, and turns of each per round.
TURN_S = 2.0
TURNS_PER_ROUND = 3


@dataclass(frozen=True)
class Bench:
    """What every measure needs: the lab, the load and a warm-up."""

    lab: Lab
    load: Load
    warmup_s: float
    upstreams: tuple[str, ...]

    def load_for(self, peer: Peer) -> Load:
        """The common load, at the rate this peer can sustain on one core."""
        cap = peer.rate_cap
        return self.load if cap is None else replace(self.load, rate=min(self.load.rate, cap))


def url_of(server: Server) -> str:
    """The view's address, with the place where the generator puts an id."""
    return f"http://127.0.0.1:{server.port}/api/orders/{{id}}"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(bench: Bench, peer: Peer, cores: set[int], workers: int = 1) -> Iterator[Server]:
    """A fresh, ready, compared and warm peer."""
    start = Start(free_port(), workers, bench.upstreams)
    start.work.mkdir(parents=True, exist_ok=True)
    command = peer.command(start)
    try:
        with running(
            command.argv,
            port=start.port,
            cores=cores,
            env=command.env,
            cwd=command.cwd,
            log=WORK / "logs" / f"{peer.name}.log",
        ) as server:
            server.wait_ready()
            bodies.check(start.port, peer.kind, peer.name)
            load = bench.load_for(peer)
            bench.lab.load(url_of(server), replace(load, seconds=bench.warmup_s))
            server.must_live()
            yield server
    finally:
        shutil.rmtree(start.work, ignore_errors=True)


def measure(bench: Bench, peer: Peer, server: Server, seed: int) -> dict[str, Any]:
    """One load on a warm peer: processor time per completed request, latency, memory."""
    load = replace(bench.load_for(peer), seed=seed)
    before = server.cpu()
    began = time.monotonic()
    summary = bench.lab.load(url_of(server), load)
    took = time.monotonic() - began
    used_ns = server.cpu().since(before)
    server.must_live()
    if summary["done"] == 0:
        raise BenchError(f"{peer.name} completed no request: {summary}")
    return {
        "rate": load.rate,
        "cpu_us_per_request": used_ns / 1000 / summary["done"],
        "cpu_share_of_core": used_ns / 1e9 / took,
        "p50_ms": summary["p50_ms"],
        "p99_ms": summary["p99_ms"],
        "p999_ms": summary["p999_ms"],
        "memory_kib": server.memory_kib(),
        "faults": faults_of(summary),
        "summary": summary,
    }


def one_round(bench: Bench, peer: Peer, seed: int) -> dict[str, Any]:
    """The main measure: the service on its own core."""
    with started(bench, peer, {bench.lab.cores.sut}) as server:
        return measure(bench, peer, server, seed)


def scaling(bench: Bench, peer: Peer, rounds: int) -> dict[str, Any]:
    """Processor time per request with two workers against one, both cores open to both.

    Three readings: two workers that share the rate of one, two workers that each have it, and the
    same two against two services of one worker each under the same load. All services run from the
    beginning and take turns, so that a slow minute of the machine is shared by all, and each ratio
    is one of medians.
    """
    load = replace(bench.load_for(peer), seconds=TURN_S)
    used: dict[str, list[float]] = {}
    faults: list[str] = []
    with contextlib.ExitStack() as stack:
        one, other, two = (
            stack.enter_context(started(bench, peer, bench.lab.cores.both, workers))
            for workers in (1, 1, 2)
        )
        # Of each load its service.
        settings = {"one": [one], "same": [two], "each": [two, two], "apart": [one, other]}
        names = list(settings)
        for seed in range(1, rounds * TURNS_PER_ROUND + 1):
            first = seed % len(names)
            for name in names[first:] + names[:first]:
                us, more = measure_together(bench, load, settings[name], seed)
                used.setdefault(name, []).append(us)
                faults += [f"{name}: {fault}" for fault in more]

    def reading(name: str, base: str) -> dict[str, Any]:
        ratios = [two / one for two, one in zip(used[name], used[base], strict=True)]
        median = statistics.median(used[name]) / statistics.median(used[base])
        return {"median": median, "ratios": ratios, "us": used[name]}

    return {
        "rate": load.rate,
        "one_us": used["one"],
        "two_services_us": used["apart"],
        "same_rate": reading("same", "one"),
        "same_rate_per_worker": reading("each", "one"),
        "against_two_services": reading("each", "apart"),
        "faults": faults,
    }


def measure_together(
    bench: Bench, load: Load, servers: Sequence[Server], seed: int
) -> tuple[float, list[str]]:
    """Processor time per request in us of warm services, under a load for each at once."""
    distinct = list(dict.fromkeys(servers))
    before = [server.cpu() for server in distinct]
    ran = bench.lab.together(
        [
            (url_of(server), replace(load, seed=seed + 50 * index), load.shape)
            for index, server in enumerate(servers)
        ]
    )
    used_ns = sum(server.cpu().since(then) for server, then in zip(distinct, before, strict=True))
    for server in distinct:
        server.must_live()
    done = sum(one.summary["done"] for one in ran)
    if done == 0:
        raise BenchError(f"no request was completed at {', '.join(map(url_of, distinct))}")
    return used_ns / 1000 / done, [fault for one in ran for fault in faults_of(one.summary)]


def read_reply(connection: socket.socket) -> int:
    """Read one reply that announces its length, or is chunked, up to its end; its status."""
    data = b""
    while True:
        head, blank, body = data.partition(b"\r\n\r\n")
        if blank:
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            if (length and len(body) >= int(length[1])) or body.endswith(b"0\r\n\r\n"):
                return int(head.split(b" ", 2)[1])
        piece = connection.recv(65536)
        if not piece:
            raise BenchError("a connection was closed instead of kept idle")
        data += piece


def open_idle(port: int) -> tuple[socket.socket, int]:
    """A connection that has had its one request and now waits, and the status it got."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    host = f"127.0.0.1:{port}"
    connection.sendall(f"GET /api/orders/7 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return connection, read_reply(connection)


def idle_memory(bench: Bench, peer: Peer, count: int = IDLE_CONNECTIONS) -> dict[str, Any]:
    """Memory per idle client connection.

    At most 4 requests run at once, so the pools to the upstreams stay as the load left them. The
    kernel's own socket buffers are not in it: they are the same for every peer.
    """
    with started(bench, peer, {bench.lab.cores.sut}) as server:
        before = server.memory_kib()
        statuses: dict[int, int] = {}
        with contextlib.ExitStack() as held, ThreadPoolExecutor(4) as pool:
            for connection, status in pool.map(open_idle, [server.port] * count):
                held.enter_context(connection)
                statuses[status] = statuses.get(status, 0) + 1
            time.sleep(1)
            server.must_live()
            after = server.memory_kib()
    per_connection = {name: (after[name] - before[name]) / count for name in before}
    return {
        "connections": count,
        "statuses": statuses,
        "before_kib": before,
        "after_kib": after,
        "kib_per_connection": per_connection,
    }


def parse_strace(text: str) -> dict[str, int]:
    """System call -> count, from the table of `strace -c`."""
    calls: dict[str, int] = {}
    for line in text.splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", line)
        if row and row[2] != "total":
            calls[row[2]] = calls.get(row[2], 0) + int(row[1])
    return calls


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """End a tracer politely; one signal can fall between its check and its wait: repeat it."""
    for _ in range(40):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.25)
            return
    process.kill()
    raise BenchError(f"{process.args!r} does not end")


def system_calls(bench: Bench, peer: Peer) -> dict[str, Any]:
    """System calls per request, counted in separate runs.

    `perf` counts the total at the common rate without slowing the peer. `strace` gives the names,
    but slows it, so that run has a low rate; where the peer failed under it, it says so.
    """
    found: dict[str, Any] = {}
    with started(bench, peer, {bench.lab.cores.sut}) as server:
        found["total_per_request"] = count_with_perf(bench, peer, server)
    if shutil.which("strace") is None:
        return {**found, "skipped": "strace is not installed"}
    table = WORK / "strace.txt"
    load = replace(bench.load_for(peer), seconds=4)
    load = replace(load, rate=min(200.0, load.rate), connections=16)
    with started(bench, peer, {bench.lab.cores.sut}) as server:
        argv = ["strace", "-f", "-c", "-o", str(table)]
        for pid in server.pids():
            argv += ["-p", str(pid)]
        with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as tracer:
            time.sleep(0.5)
            summary = bench.lab.load(url_of(server), load)
            interrupt(tracer)
    done = max(1, summary["done"])
    by_count = sorted(parse_strace(table.read_text()).items(), key=lambda item: -item[1])
    found["strace"] = {
        "rate": load.rate,
        "requests": summary["done"],
        "faults": faults_of(summary),
        "per_request": {name: round(count / done, 3) for name, count in by_count},
    }
    return found


def count_with_perf(bench: Bench, peer: Peer, server: Server) -> float | None:
    """All system calls per request at the common rate; None where perf may not count them."""
    event = "raw_syscalls:sys_enter"
    if shutil.which("perf") is None:
        return None
    probe = subprocess.run(["perf", "stat", "-e", event, "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        return None
    pids = ",".join(map(str, server.pids()))
    argv = ["perf", "stat", "-x", ";", "-e", event, "-p", pids]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as counter:
        time.sleep(0.2)
        summary = bench.lab.load(url_of(server), bench.load_for(peer))
        counter.send_signal(signal.SIGINT)
        _, said = counter.communicate(timeout=30)
    row = re.search(rf"^(\d+);.*{event}", said, re.MULTILINE)
    return int(row[1]) / max(1, summary["done"]) if row else None


def profile(bench: Bench, peer: Peer, out: Path) -> dict[str, Any]:
    """Where the processor time goes, by symbol, as `perf` sees it."""
    if shutil.which("perf") is None:
        return {"skipped": "perf is not installed"}
    data = WORK / "perf.data"
    with started(bench, peer, {bench.lab.cores.sut}) as server:
        pids = ",".join(map(str, server.pids()))
        argv = ["perf", "record", "-q", "-F", "1999", "-g", "-o", str(data), "-p", pids]
        with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as recorder:
            bench.lab.load(url_of(server), bench.load_for(peer))
            interrupt(recorder)
        shown = subprocess.run(
            [
                "perf",
                "report",
                "-i",
                str(data),
                "--stdio",
                "--no-children",
                "-g",
                "none",
                "--sort",
                "dso,symbol",
                "--percent-limit",
                "0.5",
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PAGER": "cat"},
        )
    lines = [line.rstrip() for line in shown.stdout.splitlines() if line and line[0] != "#"]
    if not lines:
        return {"skipped": f"perf reported nothing: {shown.stderr[-300:]}"}
    out.write_text("\n".join(lines) + "\n")
    return {"file": out.name, "top": lines[:12]}
