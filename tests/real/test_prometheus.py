"""Prometheus itself reads what a service says, and promtool the rules and alerts (req 12.1, 9.1d).

Prevents metrics that only our own reader understands, and alerts that were never seen to fire.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Final

import pytest
import rows
import shop
from scraping import DASHBOARDS, PROMETHEUS, RULES, Asked, found, scraping

sys.path.insert(0, str(rows.ROOT))

from examples.orders.processes import PATIENCE_SECONDS, Service

PROMTOOL: Final = found("promtool")

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing (apt install prometheus)"),
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is missing (apt install prometheus)"),
]


def promtool(*arguments: str, given: bytes = b"") -> str:
    """Runs promtool; what it says, when it is content."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments], input=given, capture_output=True, cwd=RULES, check=False
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def test_rules_and_alerts_are_rules_and_alerts() -> None:
    said = promtool("check", "rules", "recording.yml", "alerts.yml")
    assert said.count("SUCCESS") == 2
    promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    assert promtool("test", "rules", "tests.yml", "slow_tests.yml").count("SUCCESS") == 2


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("scraped")
    given = {"TAILRACE_LISTEN_WORKERS": "2", "TAILRACE_ACCESS_LOG_PATH": str(folder / "access.log")}
    with shop.serving(folder, given) as running:
        yield running


def scraped(service: Service, accept: str) -> bytes:
    request = urllib.request.Request(f"{service.admin}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as reply:
        body: bytes = reply.read()
    return body


def test_promtool_finds_nothing_to_say_about_the_metrics(service: Service) -> None:
    paths = ("/whole/1", "/partial/1", "/handled/1", "/nowhere")
    assert shop.ask(service, *paths) == [200, 200, 200, 404]
    assert promtool("check", "metrics", given=scraped(service, "text/plain")) == ""


@pytest.fixture(scope="module")
def prometheus(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("prometheus")
    with scraping(folder, service.admin_port) as running:
        yield running


def test_a_real_prometheus_scrapes_all_workers(service: Service, prometheus: Asked) -> None:
    prometheus.eventually("it is up", lambda: prometheus.query("up == 1"))
    (target,) = prometheus.api("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")

    def counted() -> bool:
        shop.ask(service, "/whole/1", "/partial/1", "/handled/1")
        rates = prometheus.query("sum by (outcome) (rate(tailrace_replies_total[30s])) > 0")
        return {one["metric"]["outcome"] for one in rates} >= {"complete", "degraded"}

    prometheus.eventually("requests are counted", counted)
    prometheus.eventually(
        "a recording rule has a value",
        lambda: prometheus.query("view:tailrace_replies:incomplete_ratio_rate5m > 0"),
    )
    for group in prometheus.api("rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] in ("ok", "unknown"), rule
    quantile = "histogram_quantile(0.99, sum by (le) (http_server_request_duration_seconds_bucket))"
    (value,) = prometheus.query(quantile)
    assert 0 < float(value["value"][1]) <= 10


def test_exemplars_arrive_with_the_requests_name(service: Service, prometheus: Asked) -> None:
    def seen() -> bool:
        shop.ask(service, "/whole/1")
        now = time.time()
        found = prometheus.api(
            "query_exemplars",
            query="http_server_request_duration_seconds_bucket",
            start=str(now - 300),
            end=str(now + 60),
        )
        return any(one["labels"].get("request_id") for row in found for one in row["exemplars"])

    prometheus.eventually("an exemplar is kept", seen)


def test_every_query_of_every_dashboard_is_taken(prometheus: Asked) -> None:
    asked = 0
    for path in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                text = target["expr"].replace("$__rate_interval", "30s")
                for variable in ("$job", "$view", "$upstream"):
                    text = text.replace(variable, ".*")
                prometheus.query(text)
                asked += 1
    assert asked > 50
