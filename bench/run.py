#!/usr/bin/env python3
"""Measure what an aggregated request costs, tailrace beside its peers, in one run.

One service at a time on one core, load and upstreams on the other; rounds are interleaved over the
peers and every number is compared with the floor of the same round, because machines are noisy.
METHOD.md says what is measured, what each peer does and does not do, and what threatens it.

    python3 bench/run.py                      # everything: five rounds of ten seconds each
    python3 bench/run.py --quick --peers tailrace,go-governed
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from harness import measures
from harness.lab import Lab, Load, build_lab
from harness.machine import (
    BENCH,
    WORK,
    BenchError,
    Cores,
    allow_many_files,
    choose_cores,
    environment,
)
from harness.peers import BIN, MissingToolError, Peer, choose

FORMAT_VERSION = 1


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load per round and peer")
    parser.add_argument("--warmup", type=float, default=2.0, help="seconds of load before it")
    parser.add_argument("--rate", type=float, default=2000.0, help="requests per second")
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=2, help="of a round that had faults")
    parser.add_argument("--peers", help="names with commas; the floor is always added")
    parser.add_argument("--out", type=Path, help="result file (default bench/results/<date>.json)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 3 s, not for publishing")
    parser.add_argument("--idle", action="store_true", help="memory of 5 000 idle connections")
    parser.add_argument("--scaling", action="store_true", help="two workers against one")
    parser.add_argument("--strace", action="store_true", help="system calls per request")
    parser.add_argument("--perf", action="store_true", help="cost by symbol")
    parser.add_argument("--all", action="store_true", help="all four of the above")
    parser.add_argument("--lab", type=Path, help="a built tailrace-lab instead of building it")
    options = parser.parse_args(argv)
    if options.quick:
        options.rounds, options.seconds, options.warmup, options.repeats = 2, 3.0, 1.0, 0
    if options.all:
        options.idle = options.scaling = options.strace = options.perf = True
    return options


def say(text: str) -> None:
    """Progress goes to standard error; standard output holds the result's path only."""
    print(text, file=sys.stderr, flush=True)


def build(peers: list[Peer]) -> dict[str, dict[str, Any]]:
    """Build every peer; the ones whose tools are missing are marked as skipped."""
    entries: dict[str, dict[str, Any]] = {}
    for peer in peers:
        entry: dict[str, Any] = {"title": peer.title, "kind": peer.kind, "rounds": []}
        try:
            entry["version"] = peer.build()
        except MissingToolError as reason:
            entry["skipped"] = str(reason)
            say(f"skipped {peer.name}: {reason}")
        entries[peer.name] = entry
    return entries


def one_round(bench: measures.Bench, peers: list[Peer], seed: int) -> dict[str, dict[str, Any]]:
    """Every peer once, each compared with the floor that was measured just before it."""
    results: dict[str, dict[str, Any]] = {}
    floor = None
    for peer in peers:
        result = measures.one_round(bench, peer, seed)
        floor = floor or result["cpu_us_per_request"]  # the floor is the first of the peers
        result["floors"] = result["cpu_us_per_request"] / floor
        results[peer.name] = result
        say(f"round {seed}  {peer.name:<20}{line_of(result)}")
    return results


def interleave(
    bench: measures.Bench,
    peers: list[Peer],
    entries: dict[str, dict[str, Any]],
    options: argparse.Namespace,
) -> list[dict[str, list[str]]]:
    """Round by round, so that a noisy minute hits all peers.

    A round with a fault in it is measured again as a whole, a limited number of times. The choice
    looks at faults only, never at a figure, and what was discarded is returned for the record.
    """
    discarded = []
    for number in range(1, options.rounds + 1):
        for attempt in range(options.repeats + 1):
            results = one_round(bench, peers, number)
            faults = {name: one["faults"] for name, one in results.items() if one["faults"]}
            if not faults or attempt == options.repeats:
                break
            discarded.append(faults)
            say(f"round {number} is measured again: {', '.join(faults)} had faults")
        for name, result in results.items():
            entries[name]["rounds"].append(result)
    return discarded


def line_of(result: dict[str, Any]) -> str:
    """One round as a line of text."""
    shown = [f"{result['cpu_us_per_request']:9.1f} us", f"{result['floors']:6.2f} floors"]
    for name, label in (("p50_ms", "P50"), ("p99_ms", "P99"), ("p999_ms", "P99.9")):
        value = result[name]
        shown.append(f"{label} {'-' if value is None else format(value, '.2f')} ms")
    if result["faults"]:
        shown.append("INVALID: " + ", ".join(result["faults"]))
    return "  ".join(shown)


def summarise(entry: dict[str, Any]) -> None:
    """Median and spread over the rounds; ratios are medians of per-round ratios."""
    rounds = entry["rounds"]
    if not rounds:
        return

    def spread(values: list[float | None]) -> dict[str, float] | None:
        known = [value for value in values if value is not None]
        if len(known) < len(values):  # too few requests in a round for this percentile
            return None
        return {"median": statistics.median(known), "min": min(known), "max": max(known)}

    entry["floors"] = spread([one["floors"] for one in rounds])
    entry["cpu_us_per_request"] = spread([one["cpu_us_per_request"] for one in rounds])
    for name in ("p50_ms", "p99_ms", "p999_ms"):
        entry[name] = spread([one[name] for one in rounds])
    entry["rss_mib"] = statistics.median(one["memory_kib"]["rss"] for one in rounds) / 1024
    entry["rate"] = rounds[0]["rate"]
    entry["valid"] = not any(one["faults"] for one in rounds)


def extras(
    bench: measures.Bench,
    peers: list[Peer],
    entries: dict[str, dict[str, Any]],
    options: argparse.Namespace,
) -> None:
    """The measures that are asked for by name."""
    for peer in peers:
        entry = entries[peer.name]
        if options.idle:
            entry["idle"] = measures.idle_memory(bench, peer)
            per = entry["idle"]["kib_per_connection"]
            say(f"idle     {peer.name:<20}{per['pss']:9.2f} KiB per connection (Pss)")
        if options.scaling and peer.scales:
            entry["scaling"] = measures.scaling(bench, peer, options.rounds)
            names = ("same_rate", "same_rate_per_worker", "against_two_services")
            same, per, own = (entry["scaling"][name]["median"] for name in names)
            say(
                f"scaling  {peer.name:<20}{same:9.3f} x at the same rate, {per:.3f} x at twice it, "
                f"{own:.3f} x two services"
            )
        if options.strace:
            entry["system_calls"] = measures.system_calls(bench, peer)
            total = entry["system_calls"]["total_per_request"]
            shown = "not countable" if total is None else f"{total:9.2f} per request"
            say(f"calls    {peer.name:<20}{shown}")
        if options.perf:
            out = options.out.with_name(f"{options.out.stem}-perf-{peer.name}.txt")
            entry["profile"] = measures.profile(bench, peer, out)
            say(f"perf     {peer.name:<20}{entry['profile'].get('file', 'skipped')}")


def run(options: argparse.Namespace, cores: Cores) -> bool:
    """The whole benchmark; true when every number may be believed."""
    peers = choose(options.peers)
    for folder in (WORK, BIN, WORK / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    options.out = options.out or BENCH / "results" / f"{datetime.date.today().isoformat()}.json"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": environment(cores),
        "settings": {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "warmup_s": options.warmup,
            "rate": options.rate,
            "connections": options.connections,
            "quick": options.quick,
            "arrivals": "poisson",
            "upstream_latency_ms": 5,
        },
    }
    lab = Lab(options.lab.resolve() if options.lab else build_lab(), cores)
    entries = build(peers)
    peers = [peer for peer in peers if "skipped" not in entries[peer.name]]
    load = Load(rate=options.rate, seconds=options.seconds, connections=options.connections)
    os.sched_setaffinity(0, {cores.load})  # after the builds, which may use every core
    with lab.upstreams() as upstreams:
        bench = measures.Bench(lab, load, options.warmup, upstreams)
        result["discarded_rounds"] = interleave(bench, peers, entries, options)
        extras(bench, peers, entries, options)
    for entry in entries.values():
        summarise(entry)
    result["peers"] = entries
    result["valid"] = all(entry.get("valid", True) for entry in entries.values())
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return bool(result["valid"])


def main() -> int:
    """Exit code 0: measured; 2: cannot run; 4: measured, but a run is invalid."""
    options = parse()
    try:
        cores = choose_cores()
        allow_many_files()
        valid = run(options, cores)
    except BenchError as error:
        say(f"bench: {error}")
        return 2
    print(options.out)
    if not valid:
        say("bench: at least one run is invalid, see `faults` in the result")
        return 4
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
