"""``tailrace doctor``: what this machine allows, and how to change what it does not.

The failure prevented: a benchmark or a service limited by a default nobody looked at. Each check
reads what is effective for this process; each finding names the command that changes it. A warning
costs figures, a failure keeps a service from running (exit code 3).
"""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import Annotated

import typer

from tailrace.cli import _output
from tailrace.cli._exit import Exit
from tailrace.cli._output import WIDTH, emit_json
from tailrace.cli.doctor import collector, machine, ours
from tailrace.cli.doctor.finding import Finding

PURPOSE = "check what this machine allows"
EXAMPLES = (
    "tailrace doctor",
    "tailrace doctor --port 8081",
    "tailrace doctor --collector http://127.0.0.1:4318 --json",
)
_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
_INK = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31;1m"}


Port = Annotated[
    int,
    typer.Option(metavar="N", help="Service port to check.", envvar="TAILRACE_LISTEN_PORT"),
]
AdminPort = Annotated[
    int,
    typer.Option(metavar="N", help="Admin port to check.", envvar="TAILRACE_LISTEN_ADMIN_PORT"),
]

Collector = Annotated[
    str | None,
    typer.Option(
        "--collector",
        metavar="URL",
        help="Send a span there; else to the one that file or environment name.",
        envvar="TAILRACE_DOCTOR_COLLECTOR",
    ),
]


def doctor(
    *,
    port: Port = 8080,
    admin_port: AdminPort = 9900,
    collector_url: Collector = None,
) -> int:
    """Checks the environment."""
    findings = [
        ours.python(),
        *ours.plane(),
        machine.descriptors(),
        machine.backlog(),
        machine.cpus(),
        machine.memory(),
        ours.port(port, "--port"),
        ours.port(admin_port, "--admin-port"),
        machine.clock(),
        collector.collector(collector_url),
    ]
    counts = Counter(finding.status for finding in findings)
    if _output.choices.json:
        emit_json({"ok": not counts["fail"], "checks": [one.as_json() for one in findings]})
    else:
        print("\n".join(_rendered(findings)))
        print(f"{counts['ok']} ok, {counts['warn']} to improve, {counts['fail']} to mend")
    return Exit.ENVIRONMENT if counts["fail"] else Exit.OK


def _rendered(findings: list[Finding]) -> list[str]:
    import sys

    ink = _output.colored(sys.stdout)
    name = max(len(one.name) for one in findings)
    lines = []
    for one in findings:
        mark = _MARKS[one.status]
        lead = f"{mark}  {one.name:<{name}}  "
        body = textwrap.wrap(one.found, WIDTH - len(lead)) or [""]
        shown = f"{_INK[one.status]}{mark}\x1b[0m{lead[len(mark) :]}" if ink else lead
        lines.append(shown + body[0])
        lines += [" " * len(lead) + line for line in body[1:]]
        if one.fix:
            lines += textwrap.wrap(
                f"fix: {one.fix}",
                WIDTH,
                initial_indent=" " * len(lead),
                subsequent_indent=" " * (len(lead) + 5),
                break_long_words=False,
                break_on_hyphens=False,
            )
    return lines
