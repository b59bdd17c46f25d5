"""``tailrace fault``: change how a simulated upstream behaves, while load runs.

The failure prevented: a resilience claim nobody could try. It talks to the admin port of a running
lab (``tailrace demo --hold``), changes one upstream, and prints the state it then read back; a
fault that was not applied is never reported as applied. Limits: simulated upstreams only.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from tailrace.cli import _output
from tailrace.cli._exit import Exit, Stop, did_you_mean
from tailrace.cli._lab_admin import ADMIN, LabAdmin
from tailrace.cli._output import emit_json

PURPOSE = "make a simulated upstream slow, failing, silent or well again"
EXAMPLES = (
    "tailrace fault recommend --hang",
    "tailrace fault inventory --errors 0.5 --latency 30ms",
    "tailrace fault recommend --off",
)
BODIES: Final = (
    "garbage",
    "wrong_type",
    "wrong_content_type",
    "oversized",
    "extra_bytes",
    "both_framing_headers",
    "short_body",
)

_FAULT = "Faults, one at a time"


Upstream = Annotated[
    str | None,
    typer.Argument(metavar="UPSTREAM", help="Its name; left out with --list or --off: all."),
]
Hang = Annotated[bool, typer.Option("--hang", help="No answer at all.", rich_help_panel=_FAULT)]
Errors = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="This share fails, 0 to 1.", rich_help_panel=_FAULT),
]
Reset = Annotated[
    bool, typer.Option("--reset", help="Connections are reset.", rich_help_panel=_FAULT)
]
SlowBody = Annotated[
    bool, typer.Option("--slow-body", help="Bodies trickle.", rich_help_panel=_FAULT)
]
Jitter = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="2 % take this much longer.", rich_help_panel=_FAULT),
]
Body = Annotated[
    str | None,
    typer.Option(
        metavar="KIND", help=f"Broken bodies: {', '.join(BODIES)}.", rich_help_panel=_FAULT
    ),
]
Share = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Share of requests that meet it.", rich_help_panel=_FAULT),
]
Status = Annotated[
    int | None,
    typer.Option(metavar="CODE", help="Status of --errors (500).", rich_help_panel=_FAULT),
]
Latency = Annotated[str | None, typer.Option(metavar="TIME", help="Every answer takes this long.")]
Off = Annotated[bool, typer.Option("--off", help="Fault and latency back to normal.")]
Listing = Annotated[bool, typer.Option("--list", help="Show every upstream.")]
Admin = Annotated[
    str, typer.Option(metavar="ADDR", help="Lab's admin port.", envvar="TAILRACE_LAB_ADMIN")
]


def fault(
    upstream: Upstream = None,
    *,
    hang: Hang = False,
    errors: Errors = None,
    reset: Reset = False,
    slow_body: SlowBody = False,
    jitter: Jitter = None,
    body: Body = None,
    share: Share = None,
    status: Status = None,
    latency: Latency = None,
    off: Off = False,
    listing: Listing = False,
    admin: Admin = ADMIN,
) -> int:
    """Changes a simulated upstream and shows its new state."""
    kinds = _kinds(hang=hang, reset=reset, slow_body=slow_body, jitter=jitter, body=body)
    chosen = _fault(kinds, errors=errors, status=status, share=share)
    change: dict[str, Any] = {}
    if chosen is not None:
        change["fault"] = chosen
    if latency is not None:
        change["latency"] = {"constant_ms": _milliseconds("--latency", latency)}
    if off and change:
        raise Stop(Exit.USAGE, "error: --off takes a fault away; it goes with no other option")
    if off:
        change = {"fault": None, "latency": None}
    lab = LabAdmin(admin)
    if listing or (upstream is None and not change):
        return _show(lab.state())
    names = [row["name"] for row in lab.state()]
    if upstream is None and not off:
        raise Stop(Exit.USAGE, "error: which upstream?", f"there are: {', '.join(names)}")
    if upstream is not None and upstream not in names:
        raise Stop(
            Exit.USAGE, f"error: there is no upstream `{upstream}`", did_you_mean(upstream, names)
        )
    if not change:
        raise Stop(Exit.USAGE, "error: what should happen?", f"for example: {EXAMPLES[0]}")
    return _show([lab.change(name, change) for name in names if upstream in (None, name)])


def _kinds(
    *, hang: bool, reset: bool, slow_body: bool, jitter: str | None, body: str | None
) -> dict[str, dict[str, Any]]:
    """What was asked for, by option, as the lab reads it."""
    found: dict[str, dict[str, Any]] = {}
    for option, given in (("--hang", hang), ("--reset", reset), ("--slow-body", slow_body)):
        if given:
            found[option] = {"kind": option.removeprefix("--").replace("-", "_")}
    if jitter is not None:
        found["--jitter"] = {"kind": "jitter", "adds_ms": _milliseconds("--jitter", jitter)}
    if body is not None:
        kind = body.replace("-", "_")
        if kind not in BODIES:
            hint = did_you_mean(kind, BODIES)
            raise Stop(Exit.USAGE, f"error: --body cannot be {body!r}", hint)
        found["--body"] = {"kind": kind}
    return found


def _fault(
    kinds: dict[str, dict[str, Any]],
    *,
    errors: float | None,
    status: int | None,
    share: float | None,
) -> dict[str, Any] | None:
    """The one fault that was asked for."""
    if errors is not None:
        probability = _share("--errors", errors)
        kinds = {**kinds, "--errors": {"kind": "errors", "probability": probability}}
    if len(kinds) > 1:
        named = " and ".join(kinds)
        raise Stop(Exit.USAGE, f"error: {named}: an upstream has one fault at a time")
    chosen = next(iter(kinds.values()), None)
    if share is not None:
        if chosen is None or errors is not None:
            raise Stop(Exit.USAGE, "error: --share goes with a fault; --errors has its own")
        chosen["probability"] = _share("--share", share)
    if status is not None:
        if chosen is None or errors is None:
            raise Stop(Exit.USAGE, "error: --status goes with --errors")
        chosen["status"] = status
    return chosen


def _share(option: str, value: float) -> float:
    if not 0 <= value <= 1:
        hint = f"for {value:g} % write {value / 100:g}" if 1 < value <= 100 else ""
        raise Stop(Exit.USAGE, f"error: {option} is a share from 0 to 1, not {value:g}", hint)
    return value


def _milliseconds(option: str, text: str) -> float:
    from tailrace.quantities import QuantityError, duration_ms

    try:
        return float(duration_ms(text))
    except QuantityError as error:
        raise Stop(Exit.USAGE, f"error: {option} {error}", error.hint) from None


def _show(rows: list[dict[str, Any]]) -> int:
    if _output.choices.json:
        emit_json({"upstreams": rows})
        return Exit.OK
    head = ("upstream", "fault", "latency", "requests", "in flight")
    table = [
        (
            row["name"],
            _fault_text(row.get("fault")),
            _law_text(row["latency"]),
            str(row["requests"]),
            str(row["in_flight"]),
        )
        for row in rows
    ]
    widths = [max(len(row[column]) for row in [head, *table]) for column in range(5)]
    for row in [head, *table]:
        left = "  ".join(f"{cell:<{widths[n]}}" for n, cell in enumerate(row[:3]))
        right = "  ".join(f"{cell:>{widths[n + 3]}}" for n, cell in enumerate(row[3:]))
        print(f"{left}  {right}")
    return Exit.OK


def _fault_text(given: dict[str, Any] | None) -> str:
    if not given:
        return "-"
    settings = [
        f"{name.removesuffix('_ms')} {value:g}{' ms' if name.endswith('_ms') else ''}"
        for name, value in given.items()
        if name not in ("kind", "probability")
    ]
    probability = given.get("probability", 1)
    settings += [f"{probability:.0%} of requests"] if probability < 1 else []
    return str(given["kind"]) + (f" ({', '.join(settings)})" if settings else "")


def _law_text(law: dict[str, Any]) -> str:
    kind, value = next(iter(law.items()))
    name = kind.removesuffix("_ms").replace("_", "-")
    if isinstance(value, dict):
        inner = " ".join(f"{key} {number:g}" for key, number in value.items())
        return f"{name} {inner} (ms)"
    if isinstance(value, list):
        return f"{name} {len(value)} values" if kind == "recorded_ms" else f"{name} {value} ms"
    return f"{name} {value:g} ms"
