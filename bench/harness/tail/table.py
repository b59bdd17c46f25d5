"""The result of `bench/tail.py` as a table: per figure its values, its bar and the verdict.

A table typed by hand shows the numbers of last month. This one says what was met and what was not
in the same words as the run itself.
"""

from __future__ import annotations

from typing import Any

from ..machine import heading

EMPTY = "-"
UNMET = {None: "", True: "met", False: "**not met**"}


def number(value: float | None, unit: str) -> str:
    """Three digits are what a run of seconds can carry."""
    if value is None:
        return EMPTY
    shown = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{shown} {unit}".rstrip()


def bar(figure: dict[str, Any]) -> str:
    """The bar with its side; nothing for a figure that has none."""
    if figure["bar"] is None:
        return ""
    sign = "<=" if figure["at_most"] else ">="
    return f"{sign} {figure['bar']:g} {figure['unit']}".rstrip()


def table(result: dict[str, Any]) -> str:
    """The whole block: how it was measured, then what came out."""
    scenarios = result["scenarios"]
    shown = {name for one in scenarios.values() for f in one["figures"] for name in f["values"]}
    names = [name for name in result["peers"] if name in shown]
    lines = [
        f"{heading(result)}, open loop. Bars are for tailrace. See `bench/METHOD.md`.",
        "",
        "| scenario | figure | " + " | ".join(names) + " | bar | |",
        "|---|---|" + "---|" * len(names) + "---|---|",
    ]
    for scenario, one in scenarios.items():
        mark = " (INVALID)" if one["faults"] else ""
        for index, figure in enumerate(one["figures"]):
            values = [number(figure["values"].get(name), figure["unit"]) for name in names]
            first = f"{scenario}{mark}" if index == 0 else ""
            cells = [first, figure["figure"], *values, bar(figure), UNMET[figure["met"]]]
            lines.append("| " + " | ".join(cells) + " |")
        if not one["figures"]:
            lines.append(f"| {scenario}{mark} | {one['title']} |" + " |" * (len(names) + 2))
    return "\n".join(lines)
