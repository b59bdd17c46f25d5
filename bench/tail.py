#!/usr/bin/env python3
"""Measure what faults and overload do to replies: tailrace beside peers, in one run.

Five scenarios, each with its bars: two slow calls in a hundred, an upstream that hangs, load beyond
capacity, upstreams that only fail, and what the policies cost while nothing goes wrong. METHOD.md
says how; the result file holds every number with its bar and whether it was met.

    python3 bench/tail.py                              # everything, about half an hour
    python3 bench/tail.py --quick --only all-errors    # a look while working; never published
    python3 bench/render.py bench/results/<date>-tail.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.lab import Lab, build_lab
from harness.machine import (
    BENCH,
    WORK,
    BenchError,
    allow_many_files,
    choose_cores,
    environment,
)
from harness.peers import BIN, MissingToolError
from harness.tail import cost, errors, hangs, overload, slow
from harness.tail.figures import Story
from harness.tail.stage import SIDE_BY_SIDE, Stage, peer_of

FORMAT_VERSION = 1
SCENARIOS: dict[str, Callable[[Stage], Story]] = {
    "slow-2-percent": slow.run,
    "one-hangs": hangs.run,
    "overload": overload.run,
    "all-errors": errors.run,
    "policy-cost": cost.run,
}


def say(text: str) -> None:
    """Progress goes to standard error; standard output holds the result's path only."""
    print(text, file=sys.stderr, flush=True)


def names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """A list with commas, of known names."""

    def read(text: str) -> tuple[str, ...]:
        given = [name.strip() for name in text.split(",") if name.strip()]
        for name in given:
            if name not in known:
                message = f"no {name!r}; there are {', '.join(known)}"
                raise argparse.ArgumentTypeError(message)
        return tuple(name for name in known if name in given)

    return read


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    everything = tuple(SCENARIOS)
    parser.add_argument("--only", type=names(everything), default=everything, metavar="A,B")
    parser.add_argument("--peers", type=names(SIDE_BY_SIDE), default=SIDE_BY_SIDE, metavar="A,B")
    parser.add_argument("--quick", action="store_true", help="seconds only, not for publishing")
    parser.add_argument("--out", type=Path, help="default bench/results/<date>-tail.json")
    parser.add_argument("--lab", type=Path, help="a built tailrace-lab instead of building it")
    return parser.parse_args(argv)


def build(wanted: list[str]) -> dict[str, dict[str, Any]]:
    """Build who takes part; one whose tools are missing is shown as skipped."""
    entries: dict[str, dict[str, Any]] = {}
    for name in wanted:
        peer = peer_of(name)
        entries[name] = {"title": peer.title}
        try:
            entries[name]["version"] = peer.build()
        except MissingToolError as reason:
            entries[name]["skipped"] = str(reason)
            say(f"skipped {name}: {reason}")
    return entries


def tell(story: Story) -> None:
    """One verdict per line."""
    for figure in story.figures:
        others = {name: value for name, value in figure.values.items() if name != "tailrace"}
        beside = ", ".join(
            f"{name} {'-' if value is None else format(value, '.3g')}"
            for name, value in others.items()
        )
        shown = "" if figure.bar is not None else f" {figure.values.get('tailrace')}"
        say(f"  {figure.name}: {figure.verdict}{shown}{f'  ({beside})' if beside else ''}")
    for fault in story.faults:
        say(f"  INVALID: {fault}")


def run(options: argparse.Namespace) -> bool:
    """All chosen scenarios; true when every number may be believed."""
    cores = choose_cores()
    allow_many_files()
    for folder in (BIN, WORK / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    today = datetime.date.today().isoformat()
    options.out = options.out or BENCH / "results" / f"{today}-tail.json"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "kind": "tail",
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": environment(cores),
        "settings": {"quick": options.quick, "only": options.only},
        "scenarios": {},
    }
    lab = Lab(options.lab.resolve() if options.lab else build_lab(), cores)
    result["peers"] = build(["floor", *options.peers])
    there = tuple(name for name in options.peers if "skipped" not in result["peers"][name])
    if "tailrace" not in there and options.peers == SIDE_BY_SIDE:
        raise BenchError(f"tailrace was not built: {result['peers']['tailrace'].get('skipped')}")
    stage = Stage(lab, there, options.quick, say)
    os.sched_setaffinity(0, {cores.load})  # after the builds, which may use every core
    for name in options.only:
        began = time.monotonic()
        say(f"{name} ...")
        try:
            story = SCENARIOS[name](stage)
        except BenchError as error:
            story = Story(name, "could not be measured", faults=[str(error)])
        tell(story)
        took = round(time.monotonic() - began, 1)
        result["scenarios"][name] = {**story.to_json(), "took_s": took}
        result["valid"] = not any(one["faults"] for one in result["scenarios"].values())
        # After each scenario: an interruption costs the one that runs, not those that are done.
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return bool(result["valid"])


def main() -> int:
    """Exit code 0: measured, whatever the verdicts; 2: cannot run; 4: a run is invalid."""
    options = parse()
    try:
        valid = run(options)
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
