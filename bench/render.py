#!/usr/bin/env python3
"""Write the benchmark table of the README from a result file, so that no number is typed by hand.

    python3 bench/render.py bench/results/2026-01-31.json README.md
    python3 bench/render.py bench/results/2026-01-31.json            # to standard output
    python3 bench/render.py bench/results/2026-01-31-tail.json       # of bench/tail.py

The table replaces what stands between the two marker lines of the result's kind: `bench`,
`bench-tail`, `bench-evidence`, `bench-traces`. Quick or invalid results are refused for a file: a
README must not show a number that the runner itself did not believe. The commands stand before the
numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import evidence
import traces
from harness.machine import heading
from harness.tail import table as tail

EMPTY = "-"
Block = Callable[[dict[str, Any]], str]


def spread(value: dict[str, float] | None, digits: int) -> str:
    """A median with its range over the rounds."""
    if not value:
        return EMPTY
    low, high = f"{value['min']:.{digits}f}", f"{value['max']:.{digits}f}"
    middle = f"{value['median']:.{digits}f}"
    return middle if low == high else f"{middle} ({low}-{high})"


def number(value: float | None, digits: int) -> str:
    """A number, or a dash where it was not measured."""
    return EMPTY if value is None else f"{value:.{digits}f}"


def same_rate(scaling: dict[str, Any]) -> float | None:
    """Two workers at the rate of one; older results have this reading only, without its name."""
    return scaling.get("same_rate", scaling).get("median")


def row(entry: dict[str, Any]) -> list[str]:
    """One peer as cells."""
    if "skipped" in entry:
        return [entry["title"], f"skipped: {entry['skipped']}", *[EMPTY] * 10]
    latency = [entry.get(name) or {} for name in ("p50_ms", "p99_ms", "p999_ms")]
    idle = entry.get("idle", {}).get("kib_per_connection", {}).get("pss")
    cells = [
        entry["title"],
        spread(entry["floors"], 2),
        number(entry["cpu_us_per_request"]["median"], 0),
        " / ".join(number(one.get("median"), 1) for one in latency),
        number(entry["rss_mib"], 0),
        number(idle, 1),
        number(same_rate(entry.get("scaling", {})), 2),
        number(entry.get("scaling", {}).get("same_rate_per_worker", {}).get("median"), 2),
        number(entry.get("scaling", {}).get("against_two_services", {}).get("median"), 2),
        number(entry.get("system_calls", {}).get("total_per_request"), 1),
        number(entry["rate"], 0),
    ]
    return [*cells, "" if entry["valid"] else "INVALID"]


HEADINGS = (
    "service",
    "CPU per request, floors",
    "CPU us",
    "P50 / P99 / P99.9 ms",
    "RSS MiB",
    "KiB per idle client",
    "two workers / one",
    "two / one at twice the rate",
    "two workers / two services",
    "system calls",
    "requests/s",
    "",
)


def cost(result: dict[str, Any]) -> str:
    """The whole block of `bench/run.py`: how it was measured, then what came out."""
    settings = result["settings"]
    entries = sorted(
        result["peers"].values(),
        key=lambda entry: entry.get("floors", {}).get("median", float("inf")),
    )
    rows = [row(entry) for entry in entries]
    kept = [
        index
        for index in range(len(HEADINGS))
        if any(cells[index] not in ("", EMPTY) for cells in rows)
    ]
    lines = [
        f"{heading(result)}. "
        f"{settings['rounds']} rounds of {settings['seconds']:g} s, open loop, "
        f"{settings['connections']} connections, five parallel calls of "
        f"{settings['upstream_latency_ms']} ms each. A floor is what the same work costs without "
        "any safety, in the same round; ranges are over rounds. See `bench/METHOD.md`.",
        "",
        "| " + " | ".join(HEADINGS[index] for index in kept) + " |",
        "|" + "---|" * len(kept),
    ]
    lines += ["| " + " | ".join(cells[index] for index in kept) + " |" for cells in rows]
    return "\n".join(lines)


def verdict(judge: Callable[[dict[str, Any]], tuple[str, Any]], key: str) -> Block:
    """The block of a script that prints its own verdict: the words of the run, kept as they are."""

    def block(result: dict[str, Any]) -> str:
        return f"{heading(result)}.\n\n```text\n{judge(result[key])[0]}\n```"

    return block


BLOCKS: Final[dict[str, Block]] = {
    "bench": cost,
    "bench-tail": tail.table,
    "bench-evidence": verdict(evidence.judge, "cpu_us_per_request"),
    "bench-traces": verdict(traces.judge, "rounds"),
}
"""What is made of a result, by the name of its markers."""


def kind_of(result: dict[str, Any]) -> str:
    """The name of its markers; the first benchmark there was does not name itself."""
    return f"bench-{result['kind']}" if "kind" in result else "bench"


def place(text: str, block: str, name: str, kind: str) -> str:
    """The text with the block between its markers."""
    begin, end = f"<!-- {kind}:begin -->", f"<!-- {kind}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise SystemExit(f"render: {name} needs {begin} once, followed by {end} once")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    return f"{before}{begin}\n{block}\n{end}{after}"


def main() -> int:
    """Exit code 4 when the result must not be published."""
    parser = argparse.ArgumentParser(description="Write the benchmark table of the README.")
    parser.add_argument("result", type=Path)
    parser.add_argument("target", type=Path, nargs="?", help="file with the markers")
    options = parser.parse_args()
    result = json.loads(options.result.read_text())
    kind = kind_of(result)
    block = BLOCKS[kind](result)
    if options.target is None:
        print(block)
        return 0
    if not result["valid"] or result["settings"]["quick"]:
        print("render: this result is quick or invalid; it is not published", file=sys.stderr)
        return 4
    target = options.target
    target.write_text(place(target.read_text(), block, str(target), kind))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
