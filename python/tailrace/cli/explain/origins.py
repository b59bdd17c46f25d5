"""Every effective value and where it came from.

The failure prevented: "which file sets this timeout?" asked during an incident. Precedence is flag,
environment, file, code, default; each value stands in the table that would override it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tailrace.cli._output import WIDTH
from tailrace.cli.explain.limits import effective, queue_of, size

# Longer values push their origin to the next line.
VALUE_MAX: Final = 14
_FOLLOWED: Final = {
    "workers": "usable CPUs",
    "memory_max_bytes": "half of all",
    "path": "stdout",
}
# Table, key, value.
Row = tuple[str, str, str]


def render(blueprint: dict[str, Any], origins: dict[str, str]) -> str:
    """A table of key, value and origin, under the name of what it belongs to."""
    rows = list(_rows(blueprint))
    keys = max(len(key) for _, key, _ in rows)
    values = max(len(value) for _, _, value in rows if len(value) <= VALUE_MAX)
    lines: list[str] = []
    title = ""
    for table, key, value in rows:
        if table != title:
            title = table
            lines += ["", title] if lines else [title]
        origin = origins.get(f"{table}.{key}", "default")
        line = f"  {key:<{keys}}  {value:<{values}}  {origin}"
        if len(value) > VALUE_MAX or len(line) > WIDTH:
            lines += [f"  {key:<{keys}}  {value}", f"  {'':<{keys}}  {origin}"]
        else:
            lines.append(line)
    return "\n".join(lines)


def _rows(blueprint: dict[str, Any]) -> Iterator[Row]:
    for view in blueprint["views"]:
        table = f"views.{view['name']}"
        yield table, "deadline_ms", f"{view['deadline_ms']:g}"
        yield table, "fanout", str(view["fanout"])
        yield table, "extra_attempts", str(view["extra_attempts"])
        yield table, "priority", view["priority"]
        yield from _policy(table, view, "rate")
        if "allow_overcommit" in view:
            yield table, "allow_overcommit", view["allow_overcommit"]
    limits = effective(blueprint)
    body_default = limits["limits"]["upstream_body_max_bytes"]
    for upstream in blueprint["upstreams"]:
        table = f"upstreams.{upstream['name']}"
        own = upstream.get("body_max_bytes")
        yield table, "addresses", ", ".join(upstream["addresses"])
        yield table, "timeout_ms", f"{upstream['timeout_ms']:g}"
        yield table, "bulkhead.limit", str(upstream["bulkhead"]["limit"])
        yield table, "bulkhead.queue", str(queue_of(upstream["bulkhead"]))
        for word in ("retry", "hedge", "breaker", "throttle", "adaptive", "rate", "cache"):
            yield from _policy(table, upstream, word)
        yield table, "forward_headers", ", ".join(upstream["forward_headers"]) or "none"
        yield table, "body_max_bytes", size(body_default if own is None else own)
    yield from _admission(blueprint["admission"])
    yield from _tracing(blueprint.get("tracing"))
    for section, values in limits.items():
        for name, value in values.items():
            yield section, name, _shown(name, value)
    for name, value in blueprint["envelope"].items():
        yield "envelope", name, str(value)


def _tracing(found: dict[str, Any] | None) -> Iterator[Row]:
    table = "tracing"
    yield table, "enabled", "off" if found is None else "on"
    for name, value in (found or {}).items():
        if name == "resource":
            shown = ", ".join(f"{key}={text}" for key, text in value.items()) or "none"
        else:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
        yield table, name, shown


def _admission(rules: dict[str, Any]) -> Iterator[Row]:
    table = "admission"
    yield table, "client", rules["client"]
    yield table, "trusted", ", ".join(rules["trusted"]) or "none"
    yield from _policy(table, rules, "rate")
    yield table, "clients_max", str(rules["clients_max"])
    own = [f"{row['client']} {row['priority']}" for row in rules["priorities"]]
    yield table, "priorities", ", ".join(own) or "none"
    yield table, "calls_max", str(rules["calls_max"])
    for word in ("shed", "brownout", "feasibility"):
        yield from _policy(table, rules, word)


def _policy(table: str, upstream: dict[str, Any], word: str) -> Iterator[Row]:
    if upstream.get(word) is None:
        yield table, word, "off"
        return
    for name, value in upstream[word].items():
        yield table, f"{word}.{name}", "off" if value is None else f"{value:g}"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return _FOLLOWED.get(name, "none")
    return size(value) if name.endswith("_bytes") else str(value)
