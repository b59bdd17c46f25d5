#!/usr/bin/env python3
"""What an outage of the trace collector does to requests: P99 and processor time, side by side.

The same service on one core in four states, interleaved over rounds: no tracing; a collector that
takes everything; one that hangs; one that is not there. Every request is worth a trace here (share
100 %, `--traces` a second), far more than a service would keep, so that an outage is felt if
anything of it can be. The figure (req 16.6): an outage moves P99 by at most 1 ms, as the median of
the differences within a round.

    python3 bench/traces.py                  # five rounds of ten seconds each
    python3 bench/traces.py --quick
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import socket
import statistics
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness import measures
from harness.lab import Lab, Load, build_lab
from harness.machine import BenchError, allow_many_files, choose_cores, described
from harness.peers import Command, Peer, Start, build_service, start_tailrace

MOVED_MAX_MS: Final = 1.0
"""What an outage may do to P99."""
OUTAGES: Final = ("hangs", "gone")


class Taking(http.server.BaseHTTPRequestHandler):
    """A collector that takes everything."""

    def log_message(self, *_: Any) -> None:
        """Says nothing: the load runs on this core."""

    def do_POST(self) -> None:
        """Reads the spans and answers."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


@contextlib.contextmanager
def collectors(core: int) -> Iterator[dict[str, str | None]]:
    """Where traces go, by state: nowhere, to one that takes, one that hangs, one that is gone."""
    os.sched_setaffinity(0, {core})
    taking = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=taking.serve_forever, daemon=True).start()
    # Connections are taken by the system, and never read from.
    hanging = socket.create_server(("127.0.0.1", 0), backlog=64)
    url = "http://127.0.0.1:{}".format
    try:
        yield {
            "off": None,
            "takes": url(taking.server_address[1]),
            "hangs": url(hanging.getsockname()[1]),
            "gone": url(measures.free_port()),
        }
    finally:
        taking.shutdown()
        hanging.close()


def peer_of(state: str, endpoint: str | None, traces: int) -> Peer:
    """The service, with its traces going to `endpoint`."""

    def command(start: Start) -> Command:
        made = start_tailrace(start)
        if endpoint is None:
            return made
        given = {
            "TAILRACE_TRACING_ENDPOINT": endpoint,
            "TAILRACE_TRACING_SHARE": "100%",
            # Ordinary traces have half of the rate.
            "TAILRACE_TRACING_PER_SECOND": str(2 * traces),
        }
        return replace(made, env={**made.env, **given})

    return Peer(f"traces-{state}", f"collector: {state}", "projected", build_service, command)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load per round and state")
    parser.add_argument(
        "--warmup", type=float, default=3.0, help="in it the queue of an outage fills"
    )
    parser.add_argument("--rate", type=float, default=2000.0, help="requests per second")
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--traces", type=int, default=500, help="kept a second")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 3 s, not for publishing")
    parser.add_argument("--out", type=Path, help="result file, JSON")
    parser.add_argument("--lab", type=Path, help="a built tailrace-lab instead of building it")
    options = parser.parse_args(argv)
    if options.quick:
        options.rounds, options.seconds = 2, 3.0
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds; what was measured by state."""
    cores = choose_cores()
    lab = Lab(options.lab or build_lab(), cores)
    load = Load(options.rate, options.seconds, options.connections)
    version = build_service()
    found: dict[str, list[dict[str, Any]]] = {}
    with lab.upstreams() as upstreams, collectors(cores.load) as endpoints:
        bench = measures.Bench(lab, load, options.warmup, upstreams)
        for seed in range(1, options.rounds + 1):
            for state, endpoint in endpoints.items():
                result = measures.one_round(bench, peer_of(state, endpoint, options.traces), seed)
                kept = {name: result[name] for name in ("p50_ms", "p99_ms", "cpu_us_per_request")}
                found.setdefault(state, []).append({**kept, "faults": result["faults"]})
                print(f"round {seed} {state}: {kept}", file=sys.stderr, flush=True)
    faults = [fault for state in found.values() for one in state for fault in one["faults"]]
    return {
        **described("traces", cores, {"quick": options.quick}),
        "version": version,
        "rounds": found,
        "valid": not faults,
    }


def judge(rounds: dict[str, list[dict[str, Any]]]) -> tuple[str, bool]:
    """The table, and whether an outage moved P99 by no more than it may."""
    lines = ["collector      P50 ms    P99 ms   CPU us   P99 moved, ms"]
    met = True
    for state, measured in rounds.items():
        median = {
            name: statistics.median(one[name] for one in measured)
            for name in ("p50_ms", "p99_ms", "cpu_us_per_request")
        }
        pairs = zip(measured, rounds["takes"], strict=True)
        moved = statistics.median(one["p99_ms"] - takes["p99_ms"] for one, takes in pairs)
        if state in OUTAGES:
            met = met and moved <= MOVED_MAX_MS
        lines.append(
            f"{state:10} {median['p50_ms']:10.2f} {median['p99_ms']:9.2f} "
            f"{median['cpu_us_per_request']:8.1f} {moved:+15.2f}"
        )
    lines.append(
        f"an outage moves P99 by at most {MOVED_MAX_MS:g} ms: {'met' if met else 'FAILED'}"
    )
    return "\n".join(lines), met


def main() -> int:
    """0 when the figure was met, 1 when not."""
    options = parse()
    allow_many_files()
    try:
        result = run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    table, met = judge(result["rounds"])
    print(table)
    if options.out:
        options.out.write_text(json.dumps({**result, "met": met}, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
