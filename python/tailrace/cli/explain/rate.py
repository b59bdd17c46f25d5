"""What a rate means for a view: calls per second, calls in flight, tasks a naive design would make.

The failure prevented: a width chosen without its price. The formulas are Little's law and a
product; the figures are bounds from the declaration, not measurements.
"""

from __future__ import annotations

from typing import Any

from tailrace._worst import calls_in_flight, contexts_per_second, worst_cases


def render(blueprint: dict[str, Any], rate: float) -> str:
    """Per view at `rate` requests/s (req 4.1)."""
    timeouts = {row["name"]: row["timeout_ms"] for row in blueprint["upstreams"]}
    lines = [f"at {rate:g} requests/s, every call made"]
    handlers = {view["name"] for view in blueprint["views"] if "handler" in view}
    for worst in worst_cases(blueprint):
        if worst.view in handlers:
            lines.append(f"  {worst.view}: a handler; its code decides what it calls")
            continue
        contexts = contexts_per_second(rate, worst.calls_max)
        lines += [
            f"  {worst.view}: {contexts:,.0f} calls/s".replace(",", " "),
            f"    a task per call would be {contexts:,.0f} task contexts a second;".replace(
                ",", " "
            ),
            "    here calls run inside the task of their connection: 0",
        ]
        for name, calls in worst.calls_by_upstream.items():
            most = calls_in_flight(rate, timeouts[name], calls)
            lines.append(f"    {name}: at most {most:,.0f} in flight".replace(",", " "))
    return "\n".join(lines)
