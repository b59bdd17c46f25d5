"""``tailrace why p99``: which parts cause the tail of a running service, and what to do.

The failure prevented: tuning what is slow on average. The plane takes every request above the
running P99 of its view apart along its critical path; this verb ranks the parts by what the slowest
requests would have saved without them, and says how many requests that is from (req 3.5). Limits:
figures are since the start of the service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from tailrace.cli import _output
from tailrace.cli._admin import ADMIN, Admin
from tailrace.cli._exit import Exit, Stop, did_you_mean
from tailrace.cli._output import colored, emit_json

PURPOSE = "which parts cause the tail, and what to do about it"
EXAMPLES = (
    "tailrace why p99",
    "tailrace why p99 --view order",
    "tailrace why p99 --admin 127.0.0.1:9901 --json",
)
ASPECTS: Final = ("p99",)
FEW: Final = 20
"""Fewer slow requests than this say little."""
NEGLIGIBLE: Final = 0.01
"""A share of the tail that is not worth a line."""
CROWDED: Final = 0.5
"""A saving below this share of the time on the path: another part is close behind."""

ADVICE: Final = {
    "fanout_wait": "its calls wait for the request's own cap: raise `fanout`, or ask for fewer "
    "items",
    "cache": "requests wait for one fetch: keep answers longer (`ttl`, `stale`)",
    "bulkhead_wait": "calls of {upstream} queue for a place: raise its `bulkhead` if it can take "
    "more, cache it, or let weak parts fail sooner",
    "earlier_attempts": "failed attempts and pauses come before the one that counts: see why "
    "{upstream} fails, and give an attempt a shorter `attempt_timeout`",
    "connect": "connections to {upstream} are opened while requests wait: keep its keep-alive "
    "above `pool_idle`, and look for what closes them",
    "send": "{upstream} takes request bytes slowly: look at its accept queue and its load",
    "upstream": "{upstream} answers late: hedge it (`hedge=Hedge()`) if calls may be repeated, or "
    "give the part a shorter `timeout` with a default",
    "body": "answers of {upstream} are long or come slowly: ask it for fewer fields or items",
    "python": "the time is in Python: look at `tailrace_python_loop_lag_seconds`",
    "admission": "requests wait before their first call: look at the process's CPU",
    "reply": "putting the reply together takes long: look at its size and the process's CPU",
    "engine": "the worker was busy with other requests: look at the process's CPU",
}

Aspect = Annotated[str, typer.Argument(metavar="WHAT", help="p99: the slowest hundredth.")]
View = Annotated[str | None, typer.Option(metavar="NAME", help="This view only.")]
AdminAddress = Annotated[
    str, typer.Option(metavar="ADDR", help="The service's admin port.", envvar="TAILRACE_ADMIN")
]


def why(aspect: Aspect, *, view: View = None, admin: AdminAddress = ADMIN) -> int:
    """Ranks the parts of each view by the tail they cause."""
    if aspect not in ASPECTS:
        raise Stop(
            Exit.USAGE,
            f"error: there is nothing to say about {aspect!r}",
            did_you_mean(aspect, ASPECTS),
        )
    port = Admin(admin)
    answer = port.read("/why", view=view) if view is not None else port.read("/why")
    views = answer["views"]
    if not any(one["slow"] for one in views):
        raise Stop(Exit.INVALID, *_nothing(answer))
    for one in views:
        one["advice"] = list(_advice(one))
    if _output.choices.json:
        emit_json(answer)
        return Exit.OK
    for number, one in enumerate(one for one in views if one["slow"]):
        print("\n" * bool(number) + "\n".join(_page(one)))
    return Exit.OK


def _nothing(answer: dict[str, Any]) -> tuple[str, str]:
    counted = sum(one["counted"] for one in answer["views"])
    return (
        f"error: no request was above its P99 yet ({counted} compared)",
        "each worker compares after the first 128 requests of a view; try again under load",
    )


def _page(view: dict[str, Any]) -> Iterator[str]:
    """One view: what it is from, the ranking, what to do."""
    bold, plain = ("\x1b[1m", "\x1b[0m") if colored(_stdout()) else ("", "")
    yield f"{bold}{view['view']}{plain}  {view['route']}"
    yield (
        f"P99 {_ms(view['p99_ms'])}; {view['slow']} of {view['counted']} requests were slower,"
        f" {_ms(view['slow_mean_ms'])} on average"
    )
    if view["slow"] < FEW:
        yield f"(only {view['slow']} slow requests: the ranking may still change)"
    yield ""
    yield f"{'part':<22} {'on path':>8} {'time there':>11} {'saving':>10}  mostly"
    for part in view["parts"]:
        yield (
            f"{_cut(part['part'], 22):<22} {part['on_path_share']:>8.0%}"
            f" {_ms(part['path_ms']):>11} {_ms(part['saving_ms']):>10}  {_mostly(part)}"
        )
    rest = [f"{name} {_ms(took)}" for name, took in view["steps"].items() if _matters(took, view)]
    if rest:
        yield from _wrapped("no part's: " + ", ".join(rest))
    yield ""
    yield "time there: of a slow request, on its critical path; saving: had the part"
    yield "taken no time, all else the same"
    if view["advice"]:
        yield ""
        yield f"{bold}what to do{plain}"
        for line in view["advice"]:
            yield from _wrapped(f"- {line}", "  ")


def _stdout() -> Any:
    import sys

    return sys.stdout


def _advice(view: dict[str, Any]) -> Iterator[str]:
    """What to do, the part that causes most first; at most three lines."""
    told = 0
    for part in view["parts"]:
        if told == 3 or not _matters(part["path_ms"], view):
            return
        step = max(part["steps"], key=part["steps"].__getitem__)
        line = f"{part['part']}: " + ADVICE[step].format(upstream=f"`{part['upstream']}`")
        if part["saving_ms"] < CROWDED * part["path_ms"]:
            line += "; another part is close behind, so this one alone saves "
            line += f"{_ms(part['saving_ms'])} of {_ms(part['path_ms'])}"
        yield line
        told += 1
    own = max(view["steps"], key=view["steps"].__getitem__, default="")
    if told < 3 and own and view["steps"][own] > (view["slow_mean_ms"] or 0) / 4:
        yield f"{own}: {ADVICE[own]}"


def _matters(took: float, view: dict[str, Any]) -> bool:
    return took > NEGLIGIBLE * float(view["slow_mean_ms"] or 0)


def _mostly(part: dict[str, Any]) -> str:
    """The step with most of its time."""
    step = max(part["steps"], key=part["steps"].__getitem__)
    share = part["steps"][step] / part["path_ms"] if part["path_ms"] else 1.0
    return f"{step} {share:.0%}"


def _ms(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _wrapped(text: str, indent: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(text, _output.WIDTH, subsequent_indent=indent, break_long_words=False)
