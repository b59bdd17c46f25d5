"""``tailrace demo``: the whole promise in half a minute, without any setup.

The failure prevented: having to believe. Five simulated upstreams, the order aggregation as it is
usually first written, the same view governed, and the same open-loop load on both; half-way one
upstream hangs, later it is healed, and the figures of both services stand side by side (req 2.1,
2.2). Ctrl-C ends
everything that was started.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tailrace.cli import _output
from tailrace.cli._exit import Exit, Stop
from tailrace.cli._lab_board import Board
from tailrace.cli._output import emit_json
from tailrace.cli.demo import addresses, stage, summary
from tailrace.cli.demo.addresses import Addresses
from tailrace.cli.demo.children import Children
from tailrace.cli.demo.screens import JsonLines, Plain, Screen
from tailrace.cli.demo.story import WARMUP_SECONDS, Story

PURPOSE = "an order service under load, one fault half-way, measured"
EXAMPLES = (
    "tailrace demo",
    "tailrace demo --hold          then: tailrace fault recommend --hang",
    "tailrace demo --rate 500 --seconds 60 --json",
)
RATE_MAX: Final = 5_000
SECONDS_LEAST: Final = 3
LINES_PER_RUN: Final = 10

_PORTS = "Ports (a usual one that is taken is replaced)"
Rate = Annotated[
    float,
    typer.Option(metavar="N", help="Requests/s to each service.", envvar="TAILRACE_DEMO_RATE"),
]
Seconds = Annotated[
    float, typer.Option(metavar="S", help="Time of the run.", envvar="TAILRACE_DEMO_SECONDS")
]
Hold = Annotated[bool, typer.Option("--hold", help="Keep it all running afterwards, until Ctrl-C.")]


def _port(what: str, name: str) -> Any:
    return typer.Option(
        metavar="N", help=what, envvar=f"TAILRACE_DEMO_{name}", rich_help_panel=_PORTS
    )


def demo(
    *,
    rate: Rate = 200,
    seconds: Seconds = 30,
    hold: Hold = False,
    port: Annotated[int | None, _port("Governed service (8080).", "PORT")] = None,
    admin_port: Annotated[int | None, _port("Its admin port (9900).", "ADMIN_PORT")] = None,
    naive_port: Annotated[int | None, _port("Naive service (8090).", "NAIVE_PORT")] = None,
    lab_port: Annotated[int | None, _port("First of five upstreams (9101).", "LAB_PORT")] = None,
    lab_admin_port: Annotated[int | None, _port("Faults (9109).", "LAB_ADMIN_PORT")] = None,
) -> int:
    """Runs the demo."""
    began = _process_start()
    if not 1 <= rate <= RATE_MAX:
        raise Stop(Exit.USAGE, f"error: --rate is from 1 to {RATE_MAX} requests/s, not {rate:g}")
    if seconds < SECONDS_LEAST:
        raise Stop(Exit.USAGE, f"error: --seconds is at least {SECONDS_LEAST}, not {seconds:g}")
    given = {
        "port": port,
        "admin_port": admin_port,
        "naive_port": naive_port,
        "lab_port": lab_port,
        "lab_admin_port": lab_admin_port,
    }
    at = addresses.choose(given)
    screen = _screen(WARMUP_SECONDS + seconds)
    with at.held, tempfile.TemporaryDirectory(prefix="tailrace-demo-") as folder:
        try:
            with Children(Path(folder)) as children:
                return _run(children, at, screen, rate, seconds, hold=hold, began=began)
        finally:
            screen.close()


def _run(
    children: Children,
    at: Addresses,
    screen: Screen,
    rate: float,
    seconds: float,
    *,
    hold: bool,
    began: float,
) -> int:
    facts = _output.build_facts()
    _opening(screen, at, facts)
    board = Board(children.folder / stage.BOARD, at.lab_admin, stage.CLIENT_MS)
    stage.start(children, at)
    reply = stage.first_reply(children, at)
    spent = time.monotonic() - began
    if _output.choices.json:
        emit_json({"type": "first_reply", "after_s": round(spent, 3), "parts": reply.parts})
    screen.say(f"first aggregated reply {spent:.2f} s after start: {reply.parts} parts")
    half = WARMUP_SECONDS + seconds / 2
    screen.say(f"load: {rate:g} requests/s to each, open loop; a fault comes at {half:g} s")
    story = Story(children, at, screen, board, rate, seconds, _interval(seconds))
    acts = story.play()
    screen.close()
    if _output.choices.json:
        emit_json({"rate": rate, **summary.as_json(acts)})
    else:
        screen.say(summary.text(acts, rate, facts["profile"]))
        screen.say(summary.next_steps(at, held=hold))
    if hold:
        screen = _screen(None)
        try:
            Story(children, at, screen, board, rate, seconds, _interval(seconds)).hold()
        finally:
            screen.close()
    return Exit.OK


def _opening(screen: Screen, at: Addresses, facts: dict[str, str]) -> None:
    if _output.choices.json:
        emit_json(
            {
                "type": "demo",
                "console": at.console,
                "governed": at.governed,
                "admin": at.admin,
                "naive": at.naive,
                "lab_admin": at.lab_admin,
                "upstreams": at.upstreams(),
                **facts,
            }
        )
        for note in at.notes:
            screen.say(note)
        return
    naive = at.naive.removeprefix("http://")
    screen.say(f"console {at.console}")
    screen.say(f"governed {at.governed} · naive {naive} · lab {at.lab_admin}")
    screen.say(_output.build_line(facts))
    for note in at.notes:
        screen.say(note)
    screen.say(
        f"GET {stage.ROUTE}: five parts from five simulated upstreams with stated tails\n"
        "naive: as first written; governed: 150 ms deadline, coupon and recommend weak"
    )


def _screen(total: float | None) -> Screen:
    if _output.choices.json:
        return JsonLines()
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from rich.console import Console

        from tailrace.cli.demo.live import LiveTable

        return LiveTable(total, Console(highlight=False, no_color=not _output.colored(sys.stdout)))
    return Plain()


def _interval(seconds: float) -> float:
    """Seconds between figures: each one where they move, a few in a log."""
    if _output.choices.json or sys.stdout.isatty():
        return 1.0
    return max(1.0, round(seconds / LINES_PER_RUN))


def _process_start() -> float:
    """When this process started, on the monotonic clock; now, where the system does not tell."""
    now = time.monotonic()
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return now
    return now - age if 0 <= age < 60 else now
