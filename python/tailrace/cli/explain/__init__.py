"""``tailrace explain``: what a service will do at worst, or what an error code means.

The failure prevented: limits nobody has read. From the compiled declaration alone, without opening
a port: which part waits for which, the worst time along the strong chain against the deadline, the
worst number of calls, every upstream's limits, and where each effective value came from.
"""

from __future__ import annotations

import os
import re
from typing import Annotated, Any

import typer

from tailrace.cli import _output
from tailrace.cli._exit import Exit, Stop
from tailrace.cli._load import find_target, load_service
from tailrace.cli._output import emit_json

PURPOSE = "stages, worst case and limits; or what a code means"
EXAMPLES = (
    "tailrace explain service.py",
    "tailrace explain shop.service:service --origin",
    "tailrace explain TR104",
)


def explain(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="APP|CODE",
            help="MODULE:ATTR, FILE.py[:ATTR] or a code such as TR104; left out: service.py,"
            " app.py or main.py.",
            envvar="TAILRACE_APP",
        ),
    ] = None,
    *,
    origin: Annotated[
        bool, typer.Option("--origin", help="Every effective value and where it came from.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="PER_S", help="What that many requests/s would mean."),
    ] = None,
    codes: Annotated[bool, typer.Option("--codes", help="List every error code.")] = False,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="TOML overrides (tailrace.toml).", envvar="TAILRACE_CONFIG"
        ),
    ] = None,
) -> int:
    """Explains a service or a code."""
    from tailrace.cli.explain import code

    if codes:
        return code.show_all()
    if subject is not None and re.fullmatch(r"[A-Za-z]{2}\d+", subject):
        return code.show(subject)
    target = find_target(subject)
    resolved = _resolved(target, config)
    if _output.choices.json:
        _as_json(target, resolved)
    elif origin:
        from tailrace.cli.explain import origins

        print(origins.render(resolved.blueprint, resolved.origins))
    else:
        from tailrace.cli.explain import page

        print(page.render(target, resolved.blueprint))
        if rate is not None:
            from tailrace.cli.explain import rate as at_rate

            print("\n" + at_rate.render(resolved.blueprint, rate))
    return Exit.OK


def _resolved(target: str, config: str | None) -> Any:
    """The effective blueprint, refused when the plane would refuse it."""
    import json

    from tailrace._config import resolve
    from tailrace._runtime import check_blueprint

    service = load_service(target)
    resolved = resolve(service, config, os.environ, other_variables=_output.VARIABLES)
    problems = check_blueprint(json.dumps(resolved.blueprint).encode())
    if problems:
        listed = "\n".join(f"  {path}: {message} ({help})" for path, message, help in problems)
        raise Stop(Exit.USAGE, f"error: the plane cannot run this service\n{listed}")
    return resolved


def _as_json(target: str, resolved: Any) -> None:
    """The blueprint as it is, the analysis beside it."""
    from dataclasses import asdict

    from tailrace._tail import check_tail
    from tailrace._worst import worst_cases

    found = check_tail(resolved.blueprint)
    analysis = [
        {
            **asdict(worst),
            "strong_chain": worst.strong_chain,
            "over_ms": worst.over_ms,
            "findings": [_finding(one) for one in found if one.view == worst.view],
        }
        for worst in worst_cases(resolved.blueprint)
    ]
    emit_json(
        {
            "target": target,
            "blueprint": resolved.blueprint,
            "analysis": {"views": analysis},
            "origins": resolved.origins,
        }
    )


def _finding(found: Any) -> dict[str, Any]:
    """What does not fit, as data."""
    return {
        "verdict": found.verdict,
        "code": found.code,
        "message": found.message,
        "sum": [text for text, _ in found.sums],
        "why": found.why,
        "helps": list(found.helps),
    }
