"""``tailrace tap``: finished requests of a running service, as they end.

The failure prevented: one slow request that nobody can find again. What is asked for is chosen by
the service, so that a busy one sends only what is wanted; what it could not send is counted and
said. Nothing of bodies or headers is shown: names, times and reasons only. The whole receipt of a
line is in the console, and in `/receipts`, under the same id.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import typer

from tailrace.cli import _output
from tailrace.cli._admin import ADMIN, Admin
from tailrace.cli._exit import Exit, Stop
from tailrace.cli._figures import duration, plain
from tailrace.cli._output import emit_json, talk

PURPOSE = "finished requests of a running service, as they end"
EXAMPLES = (
    "tailrace tap --slower-than 200ms",
    "tailrace tap --view order --troubled --count 20",
    "tailrace tap --admin 127.0.0.1:9901 --json | jq .duration_ms",
)
COUNT_MAX: Final = 1_000_000

AdminAddress = Annotated[
    str, typer.Option(metavar="ADDR", help="The service's admin port.", envvar="TAILRACE_ADMIN")
]
View = Annotated[str | None, typer.Option(metavar="NAME", help="Only this view.")]
Slower = Annotated[
    str | None, typer.Option("--slower-than", metavar="TIME", help="Only what took longer.")
]
Troubled = Annotated[bool, typer.Option("--troubled", help="Only degraded and failed requests.")]
Count = Annotated[int | None, typer.Option(metavar="N", help="End after so many.")]


def tap(
    *,
    view: View = None,
    slower_than: Slower = None,
    troubled: Troubled = False,
    count: Count = None,
    admin: AdminAddress = ADMIN,
) -> int:
    """Shows requests until Ctrl-C, or `count` of them."""
    if count is not None and not 1 <= count <= COUNT_MAX:
        raise Stop(Exit.USAGE, f"error: --count is from 1 to {COUNT_MAX:,}, not {count}")
    asked: dict[str, str | int] = {"troubled": int(troubled)}
    if view is not None:
        asked["view"] = view
    if slower_than is not None:
        asked["slower_than"] = f"{_milliseconds(slower_than):g}ms"
    shown = dropped = 0
    for line in Admin(admin).lines("/tap", **asked):
        if line.get("type") == "tap":
            if line["dropped"] > dropped and not _output.choices.json:
                talk(f"{line['dropped'] - dropped} more were not shown: too many at a time")
            dropped = line["dropped"]
            if _output.choices.json:
                emit_json(line)
            continue
        if _output.choices.json:
            emit_json(line)
        else:
            print(text(line), flush=True)
        shown += 1
        if shown == count:
            return Exit.OK
    raise Stop(Exit.ENVIRONMENT, "error: the service has ended, or is about to")


def text(line: dict[str, Any]) -> str:
    """One request: when, what, how long, what is missing and what held it up."""
    at = datetime.fromtimestamp(line["time_ms"] / 1000).strftime("%H:%M:%S.%f")[:-3]
    took = f"{duration(line['duration_ms'])} of {duration(line['deadline_ms'])}"
    words = [at, plain(line["view"] or "no view"), str(line["status"]), took]
    if line["code"]:
        words.append(line["code"])
    missing = ", ".join(f"{plain(one['part'])} ({one['why']})" for one in line["missing"])
    if missing:
        words.append(f"missing {missing}")
    held = line["held_up_by"]
    if held:
        words.append(f"held up by {plain(held['part'])} (saves {duration(held['saving_ms'])})")
    return "  ".join([*words, plain(line["request_id"])])


def _milliseconds(given: str) -> float:
    from tailrace.quantities import QuantityError, duration_ms

    try:
        return float(duration_ms(given))
    except QuantityError as error:
        raise Stop(Exit.USAGE, f"error: --slower-than {error}", error.hint) from None
