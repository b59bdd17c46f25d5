"""The event catalogue, read from crates/tailrace-plane/src/events/ as text.

Prevents a page, a dashboard or an alert that names a metric which is not there. `generate.py`
writes the reference pages from it, and `tests/ops` checks queries against it. The
sources have one form, that of the macro `events!`; what does not fit it is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EVENTS: Final = Path(__file__).resolve().parents[1] / "crates/tailrace-plane/src/events"
# In the order of `EVENTS` in events/mod.rs.
FILES: Final = ("requests", "upstreams", "admission", "python", "tracing", "process")
_EVENT: Final = re.compile(
    r'"([\w.]+)": "([^"]+)"\s+metrics \{(.*?)\n        \}\n        fields \{(.*?)\}\n', re.DOTALL
)
_METRIC: Final = re.compile(
    r'(Counter|Gauge|Histogram) \w+ "(\w+)"\s+\[([\w,\s]*)\]\s+"([^"]+)";', re.DOTALL
)
_FIELD: Final = re.compile(r'"(\w+)" (\w+) "([^"]+)";')


@dataclass(frozen=True, slots=True)
class Metric:
    """One family; `name` is without `_total`."""

    kind: str
    name: str
    labels: tuple[str, ...]
    help: str

    @property
    def shown(self) -> str:
        """The name in a query."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    @property
    def series(self) -> set[str]:
        """Every name a query may have for it."""
        if self.kind == "histogram":
            return {f"{self.name}_{end}" for end in ("bucket", "sum", "count")}
        return {self.shown}


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    unit: str
    doc: str


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    doc: str
    metrics: tuple[Metric, ...]
    fields: tuple[Field, ...]


def events() -> list[Event]:
    """Every event, in the order of `EVENTS` in events/mod.rs."""
    found = []
    for name in FILES:
        text = (EVENTS / f"{name}.rs").read_text(encoding="utf-8")
        own = [_event(*groups) for groups in _EVENT.findall(text)]
        counted = sum(len(event.metrics) + len(event.fields) for event in own)
        if not own or counted != text.count('";'):
            raise SystemExit(f"docs/catalogue.py: {name}.rs has lines of another form")
        found += own
    return found


def _event(name: str, doc: str, metrics: str, fields: str) -> Event:
    return Event(
        name,
        doc,
        tuple(
            Metric(kind.lower(), series, tuple(labels.replace(",", " ").split()), help_)
            for kind, series, labels, help_ in _METRIC.findall(metrics)
        ),
        tuple(Field(*groups) for groups in _FIELD.findall(fields)),
    )


def metrics() -> dict[str, Metric]:
    """Every metric by its name without `_total`."""
    return {metric.name: metric for event in events() for metric in event.metrics}
