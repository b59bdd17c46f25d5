#!/usr/bin/env python3
"""What evidence costs: all that is counted, kept, logged and exported, against nothing of it.

Three services on one core, all up from the beginning, in turns of two seconds:

- `muted`: a build that counts nothing and keeps no receipts (the cargo feature `mute`, which is
  never published), without an access log;
- `usual`: what a user has who asks for nothing: counters, histograms, receipts, an access log;
- `everything`: that, traces of 1 % and of all that is odd to a collector, a scrape of the metrics
  every second, and a tap that shows what takes longer than 8 ms.

What the executor notes per call for itself (a few stores) stays in the muted build, so the figure
is a little low. Both builds are compiled alike, without the profile of a training run: one run
cannot train both. The figure: `everything` costs at most 10 % more processor time per request than
`muted`, as the median of the ratios within a round. python3 bench/evidence.py # thirty rounds
python3 bench/evidence.py --quick
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness import measures
from harness.lab import Lab, Load, build_lab
from harness.machine import WORK, BenchError, allow_many_files, choose_cores, described
from harness.peers import VENV, Command, Peer, Start, build_floor, build_python, start_tailrace
from harness.server import Server
from harness.tailrace_build import step, wheel
from traces import collectors

ABOVE_MAX_PERCENT: Final = 10.0
RATE: Final = 2000.0
TURN_S: Final = 2.0


def built(name: str, *features: str) -> Path:
    """A folder with tailrace built so; in front of the path it is the one that runs."""
    folder = WORK / "builds" / name
    made = wheel(VENV, name, "", *features)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "--upgrade"]
    step([*pip, "--target", str(folder), str(made)])
    return folder


def peer_of(state: str, folder: Path, admin_port: int, more: dict[str, str]) -> Peer:
    """The declared view, run by the build in `folder`."""

    def command(start: Start) -> Command:
        made = start_tailrace(start)
        argv = [str(VENV / "bin" / "python"), "-m", "tailrace.cli", *made.argv[1:]]
        argv[argv.index("--admin-port") + 1] = str(admin_port)
        path = f"{folder}{os.pathsep}{made.env['PYTHONPATH']}"
        return replace(made, argv=argv, env={**made.env, "PYTHONPATH": path, **more})

    return Peer(state, state, "projected", lambda: "", command)


class Reader:
    """Reads a page to its end, again and again."""

    def __init__(self, url: str, every_s: float) -> None:
        self.url = url
        self.every_s = every_s
        self.bytes = 0
        self.over = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self.over.wait(self.every_s):
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                urllib.request.urlopen(self.url, timeout=30) as reply,
            ):
                while (piece := reply.read1(65536)) and not self.over.is_set():
                    self.bytes += len(piece)


@contextlib.contextmanager
def watched(admin_port: int, core: int) -> Iterator[None]:
    """Somebody scrapes the metrics every second, and a tap waits for requests that are slow.

    Raises `BenchError` at the end when one of them got nothing: then the figure means nothing.
    """
    os.sched_setaffinity(0, {core})
    base = f"http://127.0.0.1:{admin_port}"
    scrape, tap = Reader(f"{base}/metrics", 1.0), Reader(f"{base}/tap?slower_than=8ms", 0.1)
    try:
        yield
    finally:
        scrape.over.set()
        tap.over.set()
    with urllib.request.urlopen(f"{base}/metrics", timeout=30) as reply:
        said = reply.read().decode()
    spans = re.search(r"^tailrace_spans_exported_total (\d+)", said, re.MULTILINE)
    for what, count in (
        ("scrape", scrape.bytes),
        ("tap", tap.bytes),
        ("collector", int(spans[1]) if spans else 0),
    ):
        if count == 0:
            raise BenchError(f"the {what} got nothing")


def must_be(folder: Path, profile: str) -> None:
    """Raises `BenchError` unless the build in `folder` says that it is this one."""
    argv = [str(VENV / "bin" / "python"), "-m", "tailrace.cli", "--version", "--json"]
    env = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if f'"profile": "{profile}"' not in done.stdout:
        raise BenchError(f"{folder} is not a {profile} build: {done.stdout or done.stderr}")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds; processor time per request by state."""
    cores = choose_cores()
    for folder in (WORK, WORK / "bin", WORK / "logs", WORK / "builds"):
        folder.mkdir(parents=True, exist_ok=True)
    build_python()
    build_floor()
    lab = Lab(options.lab or build_lab(), cores)
    usual, muted = built("plain"), built("mute", "mute")
    must_be(usual, "dist")
    must_be(muted, "muted")
    port = measures.free_port()
    cpu: dict[str, list[float]] = {}
    faults: list[str] = []
    with (
        lab.upstreams() as upstreams,
        collectors(cores.load) as endpoints,
        contextlib.ExitStack() as stack,
    ):
        traced = {"TAILRACE_TRACING_ENDPOINT": str(endpoints["takes"])}
        peers = [
            peer_of("muted", muted, 0, {"TAILRACE_ACCESS_LOG_FORMAT": "off"}),
            peer_of("usual", usual, 0, {}),
            peer_of("everything", usual, port, traced),
        ]
        bench = measures.Bench(lab, Load(RATE, TURN_S, 128), TURN_S, upstreams)
        servers: dict[str, Server] = {
            peer.name: stack.enter_context(measures.started(bench, peer, {cores.sut}))
            for peer in peers
        }
        stack.enter_context(watched(port, cores.load))
        for seed in range(1, (4 if options.quick else options.rounds) + 1):
            first = seed % len(peers)
            for peer in peers[first:] + peers[:first]:
                result = measures.measure(bench, peer, servers[peer.name], seed)
                cpu.setdefault(peer.name, []).append(result["cpu_us_per_request"])
                faults += [f"{peer.name}: {fault}" for fault in result["faults"]]
            last = "  ".join(f"{name} {values[-1]:.1f} us" for name, values in cpu.items())
            print(f"round {seed}  {last}", file=sys.stderr, flush=True)
    return {
        **described("evidence", cores, {"quick": options.quick}),
        "cpu_us_per_request": cpu,
        "faults": faults,
        "valid": not faults,
    }


def judge(cpu: dict[str, list[float]]) -> tuple[str, dict[str, float]]:
    """The table, and by how many per cent each state is above the muted one."""
    lines = ["state          CPU us    above muted"]
    above = {}
    for state, values in cpu.items():
        pairs = zip(values, cpu["muted"], strict=True)
        above[state] = 100 * (statistics.median(one / muted for one, muted in pairs) - 1)
        lines.append(f"{state:12} {statistics.median(values):8.1f} {above[state]:+12.1f} %")
    met = above["everything"] <= ABOVE_MAX_PERCENT
    bar = f"everything costs at most {ABOVE_MAX_PERCENT:g} % more"
    lines.append(f"{bar}: {'met' if met else 'NOT met'}")
    return "\n".join(lines), above


def main() -> int:
    """0: measured, whether or not the bar was met; 2: could not run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="4 rounds, not for publishing")
    parser.add_argument("--out", type=Path, help="result file, JSON")
    parser.add_argument("--lab", type=Path, help="a built tailrace-lab instead of building it")
    options = parser.parse_args()
    try:
        allow_many_files()
        result = run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    table, above = judge(result["cpu_us_per_request"])
    print(table)
    for fault in result["faults"]:
        print(f"fault: {fault}")
    if options.out:
        options.out.write_text(json.dumps({**result, "above_percent": above}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
