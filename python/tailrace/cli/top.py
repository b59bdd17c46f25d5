"""``tailrace top``: a running service as a live table, in the console's words.

The failure prevented: an operator on a machine without a browser. It reads the same samples as the
console and shows the same figures. On a terminal the table is drawn anew each interval until `q` or
Ctrl-C; without one there is one plain table of one interval, and the verb ends.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from tailrace.cli import _output
from tailrace.cli._admin import ADMIN, Admin
from tailrace.cli._exit import Exit, Stop, did_you_mean
from tailrace.cli._figures import duration, figures, plain, rate, share
from tailrace.cli._output import WIDTH, emit_json

PURPOSE = "a running service as a live table of figures"
EXAMPLES = (
    "tailrace top",
    "tailrace top --view order --interval 5s",
    "tailrace top --admin 127.0.0.1:9901 --json",
)
INTERVAL_MIN_MS: Final = 100.0
INTERVAL_MAX_MS: Final = 60_000.0
# Rows of each table on a terminal: a screen is no report.
ROWS_MAX: Final = 12
SERVICE_WIDTH: Final = 24

AdminAddress = Annotated[
    str, typer.Option(metavar="ADDR", help="The service's admin port.", envvar="TAILRACE_ADMIN")
]
View = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Only this view.", envvar="TAILRACE_TOP_VIEW"),
]
Interval = Annotated[
    str,
    typer.Option(metavar="TIME", help="Time that figures are of.", envvar="TAILRACE_TOP_INTERVAL"),
]


def top(*, admin: AdminAddress = ADMIN, view: View = None, interval: Interval = "1s") -> int:
    """Shows a running service."""
    from tailrace.quantities import QuantityError, duration_ms

    try:
        milliseconds = float(duration_ms(interval))
    except QuantityError as error:
        raise Stop(Exit.USAGE, f"error: --interval {error}", error.hint) from None
    if not INTERVAL_MIN_MS <= milliseconds <= INTERVAL_MAX_MS:
        raise Stop(Exit.USAGE, f"error: --interval is from 100ms to 60s, not {interval}")
    seconds, port = milliseconds / 1000, Admin(admin)
    first = port.read("/live")
    names = [one["name"] for one in first["views"]]
    if view is not None and view not in names:
        raise Stop(Exit.USAGE, f"error: there is no view `{view}`", did_you_mean(view, names))
    if not _output.choices.json and _has_terminal():
        return _live(port, first, view, seconds)
    time.sleep(seconds)
    found = chosen(figures(port.read("/live"), first), view)
    if _output.choices.json:
        emit_json({"type": "sample", **found})
    else:
        print("\n".join(page(found)))
    return Exit.OK


def _has_terminal() -> bool:
    terminal = sys.stdout.isatty() and sys.stdin.isatty()
    return terminal and os.environ.get("TERM") != "dumb"


def chosen(found: dict[str, Any], view: str | None) -> dict[str, Any]:
    """Figures of one view only; upstreams are shared by all of them."""
    if view is None:
        return found
    return {
        **found,
        "views": [one for one in found["views"] if one["view"] == view],
        "missing": [one for one in found["missing"] if one["view"] == view],
    }


def page(found: dict[str, Any], rows_max: int | None = None) -> list[str]:
    """All of it in lines of at most 80 columns."""
    refused = ", ".join(f"{name} {rate(one)}/s" for name, one in found["refused"].items())
    state = found["phase"] if found["protections"] == "on" else "protections OFF"
    lines = [
        f"{_cut(plain(found['service']), SERVICE_WIDTH)} · {state} · revision {found['revision']}"
        f" · {found['in_flight']} in flight · last {found['seconds']:.1f} s",
    ]
    if refused:
        lines.append(f"refused: {refused}")
    views = [
        (
            one["view"],
            rate(one["rate"]),
            share(one["success"]),
            share(one["degraded"]),
            *_percentiles(one),
            duration(one["deadline_ms"]),
        )
        for one in found["views"]
    ]
    head = ("VIEW", "REQ/S", "SUCCESS", "DEGRADED", "P50", "P95", "P99", "DEADLINE")
    lines += ["", *_table(head, views, rows_max)]
    traffic = [
        (
            one["upstream"],
            rate(one["rate"]),
            share(one["effective"]),
            rate(one["attempt_rate"]),
            share(one["actual"]),
            *_percentiles(one),
        )
        for one in found["upstreams"]
    ]
    head = ("UPSTREAM", "CALLS/S", "EFFECTIVE", "ATTEMPTS/S", "ACTUAL", "P50", "P95", "P99")
    lines += ["", *_table(head, traffic, rows_max)]
    lines += ["", *_table(LIMITS_HEAD, [_limits(one) for one in found["upstreams"]], rows_max)]
    missing = sorted(found["missing"], key=lambda one: -one["rate"])
    if missing:
        rows = [
            (f"{one['view']}.{one['part']}", rate(one["rate"]), one["kind"], one["reason"])
            for one in missing
        ]
        lines += ["", *_table(("MISSING", "PER S", "KIND", "REASON"), rows, rows_max)]
    return lines


LIMITS_HEAD: Final = (
    "UPSTREAM",
    "IN FLIGHT",
    "LIMIT",
    "QUEUED",
    "BREAKER",
    "BUDGET LEFT",
    "EXTRA/S",
)


def _limits(one: dict[str, Any]) -> tuple[str, ...]:
    live = "" if one["limit"] == one["limit_live"] else f" → {one['limit_live']}"
    budget = "off" if one["budget_left"] is None else f"{one['budget_left']:,}"
    return (
        one["upstream"],
        str(one["in_flight"]),
        f"{one['limit']}{live}",
        f"{one['queued']} of {one['queue_limit']}",
        one["breaker"],
        budget,
        rate(one["retry_rate"] + one["hedge_rate"]),
    )


def _percentiles(one: dict[str, Any]) -> tuple[str, str, str]:
    return duration(one["p50_ms"]), duration(one["p95_ms"]), duration(one["p99_ms"])


def _table(
    head: tuple[str, ...], rows: Sequence[tuple[str, ...]], rows_max: int | None
) -> list[str]:
    """Names on the left, figures on the right; the name gives way when the line is too long."""
    shown = rows if rows_max is None else rows[:rows_max]
    plainly = [tuple(plain(cell) for cell in row) for row in shown]
    widths = [max(len(row[n]) for row in [head, *plainly]) for n in range(len(head))]
    rest = sum(width + 2 for width in widths[1:])
    widths[0] = max(8, min(widths[0], WIDTH - rest))
    lines = []
    for row in [head, *plainly]:
        name = _cut(row[0], widths[0])
        cells = "".join(f"  {cell:>{widths[n]}}" for n, cell in enumerate(row[1:], start=1))
        lines.append(f"{name:<{widths[0]}}{cells}".rstrip())
    if len(shown) < len(rows):
        lines.append(f"and {len(rows) - len(shown)} more")
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _live(port: Admin, first: dict[str, Any], view: str | None, seconds: float) -> int:
    """Draws until `q`; a service that is silent for a while is waited for."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from tailrace.cli._keys import keys

    console = Console(highlight=False, no_color=not _output.colored(sys.stdout))
    samples = [first]
    lines = [f"{plain(first['service'])}: the first figures come in {seconds:g} s"]
    with keys() as pressed, Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            text = Text("\n".join([*lines, "", "q ends"]), no_wrap=True, overflow="ellipsis")
            _ink(text, console)
            live.update(text, refresh=True)
            if pressed(seconds) == "q":
                return Exit.OK
            try:
                samples.append(port.read("/live"))
            except Stop as stop:
                lines = [stop.message.splitlines()[0], "asked again each interval"]
                continue
            found = chosen(figures(samples[-1], samples[-2]), view)
            lines = page(found, ROWS_MAX)
            del samples[:-1]


def _ink(text: Any, console: Any) -> None:
    """Titles dim, what asks for attention in red; nothing that only colour would say."""
    if console.no_color:
        return
    text.highlight_regex(r"(?m)^(?:VIEW|UPSTREAM|MISSING) .*$", "bold")
    text.highlight_regex(r"(?m)\b(?:strong|\d+ of \d+ open|protections OFF)\b", "red")
    text.highlight_regex(r"(?m)^error: .*$", "red")
