"""Dashboards, rules, alerts and runbooks name what the catalogue names (req 12.1, 9.1d).

Prevents a panel that has been empty since a metric was renamed, and an alert that never fires.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ops"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import catalogue
import dashboards
import queries
from tailrace._runtime import catalogue as compiled

ROOT = Path(__file__).resolve().parents[2]
OPS = ROOT / "ops"
RULES = OPS / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
# Labels that a scrape adds, and that of buckets.
ADDED = {"job", "instance", "le"}


def rules(name: str, kind: str) -> list[dict[str, Any]]:
    loaded = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"] if kind in rule]


RECORDED = {rule["record"] for rule in rules("recording.yml", "record")}
ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml", "alert")}
DASHBOARDS = {
    path.name: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((OPS / "grafana" / "dashboards").glob("*.json"))
}


def known() -> dict[str, set[str]]:
    """Every series with its labels."""
    found = {"up": set[str]()}
    for metric in catalogue.metrics().values():
        found |= {name: set(metric.labels) for name in metric.series}
    return found


def problems(expression: str) -> list[str]:
    """What of a query is not there."""
    series = known()
    found = [name for name in queries.series(expression) if name not in series.keys() | RECORDED]
    for name, labels in queries.matchers(expression):
        missing = labels - ADDED - series.get(name, labels)
        found += [f"{name}{{{label}}}" for label in missing]
    every = set().union(*series.values()) | ADDED
    return found + sorted(queries.groupings(expression) - every)


def panel_queries(dashboard: dict[str, Any]) -> list[str]:
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [target["expr"].replace("$__rate_interval", "5m") for target in targets]


def test_the_catalogue_is_read_as_it_is_compiled() -> None:
    read = [
        {
            "name": event.name,
            "doc": event.doc,
            "metrics": [
                {"name": one.name, "kind": one.kind, "labels": list(one.labels), "help": one.help}
                for one in event.metrics
            ],
            "fields": [
                {"name": one.name, "unit": one.unit, "doc": one.doc} for one in event.fields
            ],
        }
        for event in catalogue.events()
    ]
    told = compiled()
    for event in told:
        for metric in event["metrics"]:
            del metric["unit"]
    assert read == told


def test_a_query_is_taken_apart() -> None:
    text = (
        'sum by (job, le) (rate(a_total{x="b{c}",y!~"d|e"}[5m])) / on (job) group_left\n'
        ' 14.4 * scalar(level:b:rate1h) > 1e3 and c_bucket{le="+Inf"} offset 5m or inf'
    )
    assert queries.series(text) == {"a_total", "level:b:rate1h", "c_bucket"}
    assert queries.matchers(text) == [("a_total", {"x", "y"}), ("c_bucket", {"le"})]
    assert queries.groupings(text) == {"job", "le"}
    assert problems('rate(tailrace_requests_total{part="x"}[5m]) + nothing') == [
        "nothing",
        "tailrace_requests_total{part}",
    ]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_of_a_dashboard_asks_for_what_there_is(name: str) -> None:
    asked = panel_queries(DASHBOARDS[name])
    assert len(asked) > 15
    assert {text: problems(text) for text in asked if problems(text)} == {}


@pytest.mark.parametrize("name", ["recording.yml", "alerts.yml"])
def test_every_rule_asks_for_what_there_is(name: str) -> None:
    expressions = [rule["expr"] for kind in ("record", "alert") for rule in rules(name, kind)]
    assert len(expressions) > 10
    assert {text: problems(text) for text in expressions if problems(text)} == {}


def test_every_metric_is_on_a_dashboard_or_in_a_rule_or_says_why_not() -> None:
    asked: set[str] = set()
    for dashboard in DASHBOARDS.values():
        for text in panel_queries(dashboard):
            asked |= queries.series(text)
    for name in ("recording.yml", "alerts.yml"):
        for kind in ("record", "alert"):
            for rule in rules(name, kind):
                asked |= queries.series(rule["expr"])
    unused = {name for name, one in catalogue.metrics().items() if not one.series & asked}
    # What is for a look by hand rather than for a panel of its own.
    assert unused == {
        "process_uptime_seconds",
        "tailrace_cache_entries",
        "tailrace_cache_flights",
        "tailrace_computed_in_flight",
        "tailrace_interpreter_entries",
        "tailrace_cache_hot_keys",
        "tailrace_cache_invalidations",
        "tailrace_cache_refreshes",
        "tailrace_cache_stores",
        "tailrace_degraded_replies",
        "tailrace_ignored_priorities",
        "tailrace_metrics_series",
        "tailrace_python_waiting_seconds",
        "tailrace_rate_clients",
        "tailrace_rate_clients_evicted",
        "tailrace_receipts_lost",
        "tailrace_resolve_failures",
        "tailrace_workers",
    }


def test_dashboards_are_as_they_are_written() -> None:
    written = dashboards.dashboards()
    assert written.keys() == DASHBOARDS.keys()
    for name, text in written.items():
        path = OPS / "grafana" / "dashboards" / name
        assert path.read_text(encoding="utf-8") == text, "run python ops/dashboards.py"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_provisions_unedited(name: str) -> None:
    dashboard = DASHBOARDS[name]
    text = json.dumps(dashboard)
    assert "__inputs" not in dashboard
    assert "DS_" not in text
    assert dashboard["id"] is None
    assert dashboard["uid"].startswith("tailrace-")
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__all"}
    assert used == variables.keys()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_provisioning_names_the_folder_of_the_dashboards() -> None:
    folder = OPS / "grafana" / "provisioning"
    provider = yaml.safe_load((folder / "dashboards" / "tailrace.yml").read_text())
    assert provider["apiVersion"] == 1
    assert [one["type"] for one in provider["providers"]] == ["file"]
    sources = yaml.safe_load((folder / "datasources" / "tailrace.yml").read_text())
    assert [one["type"] for one in sources["datasources"]] == ["prometheus"]


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")}
    assert pages == set(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        assert rule["labels"]["severity"] in ("page", "ticket")
        text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {name}\n")
        for heading in ("## Look", "## Do", "## No fault when"):
            assert f"\n{heading}\n" in text, (name, heading)


def test_queries_of_runbooks_ask_for_what_there_is() -> None:
    asked = 0
    for path in RUNBOOKS.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        for code in re.findall(r"`([^`\n]+)`", text):
            if re.match(r"[a-z ]*\(?.*(tailrace|http|process)_\w+", code) and ":budget" not in code:
                asked += 1
                found = [
                    one
                    for one in problems(code.replace("…", "x"))
                    if one not in catalogue.metrics()
                ]
                assert found == [], (path.name, code)
    assert asked > 25


def test_rules_are_played_in_one_order_and_records_before_alerts() -> None:
    """promtool takes groups without a place in a random order; then alerts read old records."""
    groups = [
        group["name"]
        for name in ("recording.yml", "alerts.yml")
        for group in yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["groups"]
    ]
    assert len(groups) == len(set(groups)), "a name in both files has one place for two groups"
    for name in ("tests.yml", "slow_tests.yml"):
        played = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))
        assert played["group_eval_order"] == groups, name


def test_each_alert_is_seen_to_fire_and_to_be_silent() -> None:
    """`promtool test rules` plays these; here it is seen that none is left out."""
    played: list[dict[str, Any]] = []
    for name in ("tests.yml", "slow_tests.yml"):
        played += yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["tests"]
    fired, silent = set(), set()
    for test in played:
        for one in test["alert_rule_test"]:
            (fired if one["exp_alerts"] else silent).add(one["alertname"])
    assert fired == set(ALERTS)
    assert silent >= set(ALERTS) - {
        "TailraceUpstreamTimesOut",  # Beside it is an upstream for which it must be silent.
    }
