"""Whether the collector that this host names takes a span (req 16.6).

The failure prevented: a trace store that stays empty, found out when somebody needs a trace. One
span is sent as a service sends its own, with the same headers and time limit. Nobody is asked that
nobody has named: no flag, file or variable, no connection. An outage of a collector costs traces
and nothing else, so it is something to improve; what a service would not start with is a failure.
"""

from __future__ import annotations

import json
import os
from typing import Any

from tailrace.cli.doctor.finding import Finding

NAME = "collector"


def collector(given: str | None) -> Finding:
    """Sends a span to the collector named by `given`, else by file or environment."""
    from tailrace._config import host_tracing
    from tailrace._origin import Setting
    from tailrace._source import Place
    from tailrace.errors import ConfigError, DeclarationError

    flag = "--collector"
    setting = None if given is None else Setting(given, f"flag {flag}", Place(f"option {flag}"))
    try:
        blueprint = host_tracing(os.environ, setting)
    except (ConfigError, DeclarationError) as error:
        first = error.problems[0]
        fix = "; ".join(first.helps) or f"see {first.place}"
        return Finding(NAME, "fail", f"{first.message} ({first.place})", fix)
    if blueprint is None:
        return Finding(NAME, "ok", "none is named here, so none was asked (--collector URL)")
    return _asked(blueprint)


def _asked(blueprint: dict[str, Any]) -> Finding:
    try:
        from tailrace._runtime import PlaneError, probe_traces
    except ImportError:
        # The check of the plane says why.
        return Finding(
            NAME, "warn", "not asked: the plane cannot be loaded", "mend the plane first"
        )
    tracing = blueprint["tracing"]
    where = tracing["endpoint"]
    try:
        ended, detail = probe_traces(json.dumps(blueprint).encode())
    except PlaneError as error:
        fix = f"mend the variable {tracing['headers_variable']}: name=value,name=value"
        return Finding(NAME, "fail", str(error.args[0]), fix)
    if ended == "taken":
        return Finding(NAME, "ok", f"{where} took a span, trace {detail}")
    if ended == "refused":
        return Finding(NAME, "warn", f"{where} answered {detail}", _refusal(detail, tracing))
    if ended == "left_out":
        fix = "see its log: it knows the span as `tailrace doctor`"
        return Finding(NAME, "warn", f"{where} answered, and left the span out", fix)
    fix = "start a collector with an OTLP receiver for HTTP there, or name it: --collector URL"
    return Finding(NAME, "warn", f"{where} does not answer: {detail}", fix)


def _refusal(status: str, tracing: dict[str, Any]) -> str:
    if status in ("401", "403"):
        name = tracing["headers_variable"]
        return f"put its token into {name}: authorization=Bearer%20..."
    if status in ("404", "405"):
        return "name the path that takes OTLP over HTTP; usually it is /v1/traces"
    return "see its log; a service tries 429, 502, 503 and 504 again, and drops at any other"
