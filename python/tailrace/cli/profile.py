"""``tailrace profile``: a look inside a running service, for a few seconds.

The failure prevented: an incident in which nobody can see inside without a restart. What is asked
for is recorded by the service itself, bounded and off its request path; this verb shows it, or
writes what other tools read: a flame graph, collapsed stacks, a trace for Perfetto (req 12.2).
Limits: one profile of a service at a time; beyond loopback the admin token is needed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tailrace.cli import _output, _profile_text
from tailrace.cli._admin import ADMIN, Admin
from tailrace.cli._exit import Exit, Stop, did_you_mean
from tailrace.cli._output import emit_json, talk

PURPOSE = "processor time, memory, waits or a trace of a running service"
EXAMPLES = (
    "tailrace profile tasks",
    "tailrace profile cpu --seconds 10 -o cpu.svg",
    "tailrace profile trace -o trace.json    # open it in ui.perfetto.dev",
)
SECONDS_MAX: Final = 30
PLACES_MAX: Final = 100
SLACK_SECONDS: Final = 40.0
"""Naming functions, or counting Python's memory, takes a service a while after the recording."""
TEXT: Final[dict[str, Callable[[dict[str, Any]], Iterable[str]]]] = {
    "cpu": _profile_text.cpu,
    "heap": _profile_text.heap,
    "tasks": _profile_text.tasks,
}
KINDS: Final = ("cpu", "heap", "tasks", "trace")
FORMATS: Final = {".svg": "svg", ".json": "json"}
"""Of a CPU profile, by the ending of its file; anything else gets collapsed stacks."""

What = Annotated[
    str,
    typer.Argument(
        metavar="WHAT",
        help="cpu: where processor time goes. heap: who holds memory. tasks: what each request in "
        "flight waits for. trace: requests and their waits, for Perfetto.",
    ),
]
Seconds = Annotated[int, typer.Option(metavar="N", help="How long to record, from 1 to 30.")]
Out = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write it here; a CPU profile as its ending says: .svg a flame graph, .json, else "
        "collapsed stacks.",
    ),
]
Places = Annotated[
    int | None,
    typer.Option(
        "--python",
        metavar="N",
        help="heap: trace Python's allocations for --seconds and show N places; slows Python.",
    ),
]
AdminAddress = Annotated[
    str, typer.Option(metavar="ADDR", help="The service's admin port.", envvar="TAILRACE_ADMIN")
]


def profile(
    what: What,
    *,
    seconds: Seconds = 5,
    output: Out = None,
    python: Places = None,
    admin: AdminAddress = ADMIN,
) -> int:
    """Asks for a profile and shows or writes it."""
    _check(what, seconds, python, output)
    query: dict[str, str | int] = {}
    if what in ("cpu", "trace") or python is not None:
        query["seconds"] = seconds
        if sys.stderr.isatty():
            talk(f"recording for {seconds} s; Ctrl-C ends it")
    if python is not None:
        query["python"] = python
    if what == "cpu" and output is not None:
        query["format"] = FORMATS.get(Path(output).suffix, "collapsed")
    port = Admin(admin)
    body = port.ask(f"/profile/{what}", seconds + SLACK_SECONDS, **query)
    if output is not None:
        return _write(Path(output), body)
    if what == "trace" and not _output.choices.json:
        sys.stdout.write(body.decode())
        return Exit.OK
    told = json.loads(body)
    if _output.choices.json:
        emit_json(told)
        return Exit.OK
    for line in TEXT[what](told):
        print(line)
    return Exit.OK


def _check(what: str, seconds: int, python: int | None, output: str | None) -> None:
    if what not in KINDS:
        raise Stop(Exit.USAGE, f"error: there is no profile of {what!r}", did_you_mean(what, KINDS))
    if not 1 <= seconds <= SECONDS_MAX:
        message = f"error: --seconds is from 1 to {SECONDS_MAX}, not {seconds}"
        raise Stop(Exit.USAGE, message)
    if python is not None and what != "heap":
        raise Stop(Exit.USAGE, f"error: --python is for `heap`, not for `{what}`")
    if python is not None and not 1 <= python <= PLACES_MAX:
        raise Stop(Exit.USAGE, f"error: --python is from 1 to {PLACES_MAX}, not {python}")
    if what == "trace" and output is None and not _output.choices.json and sys.stdout.isatty():
        raise Stop(
            Exit.USAGE,
            "error: a trace is for a viewer, not for a terminal",
            "write it to a file: -o trace.json, and open that in ui.perfetto.dev",
        )
    # Before seconds are spent on what could then not be kept.
    if output is not None and not Path(output).absolute().parent.is_dir():
        raise Stop(Exit.USAGE, f"error: -o {output}: there is no such directory")


def _write(path: Path, body: bytes) -> int:
    try:
        path.write_bytes(body)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Stop(Exit.ENVIRONMENT, f"error: -o {path}: {reason}") from None
    if _output.choices.json:
        emit_json({"written": str(path), "bytes": len(body)})
    else:
        talk(f"{path}: {len(body):,} bytes")
    return Exit.OK
