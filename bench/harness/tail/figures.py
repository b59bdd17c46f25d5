"""A figure with its bar: the same number for every peer, judged for tailrace.

A bar that lives in prose moves; here it stands beside the value in the result file, with the
verdict that the two give. A value that could not be measured has no verdict, which is not the same
as a bar that was met.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

JUDGED = "tailrace"


@dataclass
class Figure:
    """One number per peer; `at_most` says on which side of the bar a good value is."""

    name: str
    unit: str
    values: dict[str, float | None]
    bar: float | None = None
    at_most: bool = True

    @property
    def met(self) -> bool | None:
        """Whether tailrace met the bar; None without a bar or a value."""
        value = self.values.get(JUDGED)
        if self.bar is None or value is None:
            return None
        return value <= self.bar if self.at_most else value >= self.bar

    @property
    def verdict(self) -> str:
        """In words, with the number and the bar."""
        if self.bar is None:
            return "no bar"
        side = "at most" if self.at_most else "at least"
        bar = f"{side} {self.bar:g} {self.unit}".rstrip()
        if self.met is None:
            return f"not measured ({bar})"
        value = f"{self.values[JUDGED]:.3g} {self.unit}".rstrip()
        return f"{'met' if self.met else 'NOT met'}: {value}, {bar}"

    def to_json(self) -> dict[str, Any]:
        """As it stands in the result file."""
        return {
            "figure": self.name,
            "unit": self.unit,
            "bar": self.bar,
            "at_most": self.at_most,
            "values": self.values,
            "met": self.met,
        }


@dataclass
class Story:
    """One scenario: its figures, what they were computed from, and why it must not count."""

    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    runs: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the result file."""
        return {
            "title": self.title,
            "figures": [figure.to_json() for figure in self.figures],
            "faults": self.faults,
            "runs": self.runs,
        }
