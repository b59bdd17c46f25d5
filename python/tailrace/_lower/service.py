"""The service itself: its name, the envelope's names, and where to listen.

The failure prevented: reply fields that collide, or a limit whose default is written twice.
Defaults of `listen`, `limits` and `access_log` stand in Rust only; what is not overridden is not
written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tailrace._lower.admission import check_calls, lower_admission
from tailrace._lower.attempts import check_hedges
from tailrace._lower.context import Context, at
from tailrace._lower.tail import check_tail
from tailrace._lower.tracing import lower_tracing
from tailrace._lower.upstreams import lower_upstreams
from tailrace._lower.views import lower_views
from tailrace._source import entry
from tailrace.errors import suggestion

if TYPE_CHECKING:
    from tailrace.service import Service

FORMAT_VERSION = 1
ENVELOPE = ("degraded", "request_id", "served_at_ms")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
NAME_HELP = "a letter, then letters, digits, `-` and `_`, at most 64: it labels logs and metrics"


def lower_service(context: Context, service: Service) -> dict[str, Any]:
    if not isinstance(service.name, str) or not NAME.fullmatch(service.name):
        place = at(service.place, "name", 0)
        message = f"{service.name!r} cannot be a service's name"
        context.problem("TR004", message, place, helps=(NAME_HELP,))
    envelope = _envelope(context, service)
    blueprint: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "service": service.name,
        "envelope": envelope,
    }
    timing = context.setting(
        ("service", "server_timing"),
        service.server_timing or None,
        False,
        service.place,
        "server_timing",
    )
    # Off stands in Rust, like other defaults.
    if timing.value:
        blueprint["server_timing"] = True
    blueprint |= lower_tracing(context, service.place, service.tracing)
    for section in ("listen", "limits", "access_log"):
        found = context.overrides.under(section)
        if found:
            blueprint[section] = {name: one.value for name, one in found.items()}
            for name, one in found.items():
                context.origins[f"{section}.{name}"] = one.origin
    blueprint["admission"] = lower_admission(context, service)
    blueprint["upstreams"] = lower_upstreams(context, service)
    blueprint["views"] = lower_views(context, service, set(envelope.values()))
    check_calls(context, service, blueprint)
    if not context.problems:
        check_hedges(context, service, blueprint)
    if not context.problems:
        users = [row for view in blueprint["views"] for row in _users(view)]
        blueprint["shapes"] = context.shapes.compact(users)
        check_tail(context, service, blueprint)
    return blueprint


def _users(view: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything of a view that refers to a shape."""
    answers = [part["unwrap"] for part in view["parts"] if "unwrap" in part]
    body = [view["body"]] if "body" in view else []
    found: list[dict[str, Any]] = view["parameters"] + body + view["parts"] + answers
    return found


def _envelope(context: Context, service: Service) -> dict[str, str]:
    for name in service.envelope:
        if name not in ENVELOPE:
            place = at(service.place, "envelope")
            message = f"the envelope has no field `{name}`"
            context.problem("TR024", message, place, helps=suggestion(name, ENVELOPE, "fields"))
    chosen: dict[str, str] = {}
    for name in ENVELOPE:
        declared = service.envelope.get(name)
        place = service.place if declared is None else entry(service.place, "envelope", name)
        setting = context.setting(("envelope", name), declared, name, place, f"envelope.{name}")
        value = setting.value
        if not isinstance(value, str) or not value or value in chosen.values():
            message = f"the envelope's `{name}` cannot be called {value!r}"
            context.problem("TR024", message, setting.place, helps=("use three different names",))
            value = name
        chosen[name] = value
    return chosen
