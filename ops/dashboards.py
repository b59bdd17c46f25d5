#!/usr/bin/env python3
"""The Grafana dashboards of ops/grafana: `python ops/dashboards.py`, `--check` compares.

Prevents panels that nobody dares to touch: a dashboard is a thousand lines of JSON, and what it
says stands in `*_panels.py` in a few. Provisioned as they are: the data source is a variable, `id`
is null, nothing has to be filled in. Queries are held to the event catalogue by `tests/ops`, and a
real Grafana asks them in `tests/real`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

from panels import AXIS, Panel, Row
from service_panels import SERVICE
from upstream_panels import UPSTREAMS

FOLDER: Final = Path(__file__).resolve().parent / "grafana" / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24
STAT: Final = {
    "reduceOptions": {"calcs": ["lastNotNull"]},
    "colorMode": "value",
    "graphMode": "area",
}
SERIES: Final = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def _defaults(panel: Panel) -> dict[str, Any]:
    """How the values of a panel are shown."""
    shown: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.nothing:
        shown["noValue"] = panel.nothing
    if panel.kind == "stat":
        steps = [{"value": value, "color": color} for value, color in panel.steps]
        shown |= {"thresholds": {"mode": "absolute", "steps": steps}, "custom": {}}
        if panel.nothing:
            # Of no requests the share is no number, and Grafana would say "NaN".
            said = {"match": "null+nan", "result": {"text": panel.nothing, "color": "text"}}
            shown["mappings"] = [{"type": "special", "options": said}]
        return shown
    custom = {"fillOpacity": 10, "showPoints": "never", "spanNulls": False}
    return shown | {"custom": custom | {"axisSoftMax": AXIS[panel.unit]}}


def _panel(panel: Panel, number: int, left: int, top: int) -> dict[str, Any]:
    targets: list[dict[str, Any]] = [
        {
            "datasource": SOURCE,
            "refId": chr(ord("A") + index),
            "expr": expression,
            "legendFormat": legend or panel.title,
            "range": True,
        }
        for index, (expression, legend) in enumerate(panel.queries)
    ]
    if panel.exemplars:
        targets[-1]["exemplar"] = True
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.width, "h": panel.height},
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": STAT if panel.kind == "stat" else SERIES,
        "targets": targets,
    }


def _panels(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        number = len(found) + 1
        found.append({"id": number, "type": "row", "title": row.title, "gridPos": place})
        found[-1] |= {"collapsed": False, "panels": []}
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > WIDTH:
                top, left, height = top + height, 0, 0
            found.append(_panel(panel, len(found) + 1, left, top))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return found


def _choice(name: str, query: str) -> dict[str, Any]:
    """A variable that is one, several or all values of a label."""
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _dashboard(uid: str, title: str, rows: tuple[Row, ...], other: str) -> dict[str, Any]:
    source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    variables = [
        {**source, "label": "Data source", "current": {}, "hide": 0, "regex": ""},
        _choice("job", "label_values(tailrace_ready, job)"),
        _choice(*VARIABLES[uid]),
    ]
    link = {"type": "link", "title": other, "url": f"/d/{OTHERS[uid]}", "includeVars": True}
    return {
        "id": None,
        "uid": uid,
        "title": title,
        "tags": ["tailrace"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": variables},
        "links": [{**link, "keepTime": True}],
        "annotations": {"list": []},
        "panels": _panels(rows),
    }


VARIABLES: Final = {
    "tailrace-service": ("view", 'label_values(tailrace_requests_total{job=~"$job"}, view)'),
    "tailrace-upstreams": (
        "upstream",
        'label_values(tailrace_upstream_calls_total{job=~"$job"}, upstream)',
    ),
}
OTHERS: Final = {
    "tailrace-service": "tailrace-upstreams",
    "tailrace-upstreams": "tailrace-service",
}


def dashboards() -> dict[str, str]:
    """The files by name, as they stand in the folder."""
    made = {
        "service.json": _dashboard("tailrace-service", "tailrace: service", SERVICE, "Upstreams"),
        "upstreams.json": _dashboard(
            "tailrace-upstreams", "tailrace: upstreams", UPSTREAMS, "Service"
        ),
    }
    return {name: json.dumps(one, indent=1) + "\n" for name, one in made.items()}


def main(argv: list[str]) -> int:
    """Writes the dashboards, or with `--check` names those that are out of date."""
    stale = []
    for name, text in dashboards().items():
        path = FOLDER / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in argv:
            path.write_text(text, encoding="utf-8")
    told = "is out of date; run python ops/dashboards.py" if "--check" in argv else "written"
    for name in stale:
        print(f"{name} {told}")
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
