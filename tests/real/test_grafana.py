"""Grafana itself takes the dashboards as they are, and asks what they ask (req 12.1, 9.1d).

Prevents dashboards that only our own checks have read. A real Grafana is provisioned with the files
of ops/grafana, over a real Prometheus that scrapes a service with callers; what a person would see
is asked for as the page does it, through Grafana's API.
"""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import rows
import watched
from scraping import DASHBOARDS, PROMETHEUS, Asked, eventually, scraping

sys.path.insert(0, str(rows.ROOT))

from examples.orders.processes import PATIENCE_SECONDS, Program, Service, free_ports

HOME: Final = rows.ROOT / ".venv" / "grafana"
PROVISIONING: Final = rows.ROOT / "ops" / "grafana" / "provisioning"
# What of the provisioning is said of a machine: where the files lie, and where Prometheus is.
PLACES: Final = ("/etc/grafana/dashboards/tailrace", "http://127.0.0.1:9090")

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (HOME / "version").exists(), reason="no Grafana: tools/grafana.sh needs Go and cc"
    ),
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is missing (apt install prometheus)"),
]

# A Grafana of the test's own: anybody is its administrator, and it asks nobody in the network.
_SETTINGS: Final = {
    "GF_SERVER_HTTP_ADDR": "127.0.0.1",
    "GF_AUTH_ANONYMOUS_ENABLED": "true",
    "GF_AUTH_ANONYMOUS_ORG_ROLE": "Admin",
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_NEWS_NEWS_FEED_ENABLED": "false",
    "GF_LOG_MODE": "console",
}


class Grafana:
    """A running Grafana."""

    def __init__(self, port: int, program: Program) -> None:
        self.url = f"http://127.0.0.1:{port}/api"
        self.program = program

    def get(self, path: str, **parameters: str) -> Any:
        return self._said(f"{path}?{urllib.parse.urlencode(parameters)}", None)

    def post(self, path: str, body: Any) -> Any:
        return self._said(path, json.dumps(body).encode())

    def _said(self, path: str, body: bytes | None) -> Any:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/{path}", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as reply:
            return json.load(reply)

    def source(self) -> dict[str, Any]:
        (found,) = self.get("datasources")
        assert isinstance(found, dict)
        return found


def provisioned(folder: Path, prometheus: str) -> Path:
    """A copy of the provisioning, the same but for the two places."""
    for path in sorted(PROVISIONING.rglob("*.yml")):
        text = path.read_text(encoding="utf-8")
        assert [text.count(place) for place in PLACES].count(1) == 1, path
        for place, mine in zip(PLACES, (str(DASHBOARDS), prometheus), strict=True):
            text = text.replace(place, mine)
        copy = folder / path.relative_to(PROVISIONING)
        copy.parent.mkdir(parents=True)
        copy.write_text(text, encoding="utf-8")
    for name in ("alerting", "notifiers", "plugins"):
        # An installed Grafana has them, empty.
        (folder / name).mkdir()
    return folder


@contextmanager
def running(folder: Path, prometheus: str) -> Iterator[Grafana]:
    """Starts Grafana on a database of its own; it ends with the block."""
    (port,) = free_ports(1)
    paths = {
        "GF_PATHS_PROVISIONING": str(provisioned(folder / "provisioning", prometheus)),
        "GF_PATHS_DATA": str(folder / "data"),
        "GF_PATHS_LOGS": str(folder / "logs"),
        "GF_PATHS_PLUGINS": str(folder / "plugins"),
        "GF_SERVER_HTTP_PORT": str(port),
    }
    argv = [str(HOME / "grafana"), "server", "--homepath", str(HOME)]
    log = folder / "output.log"
    settings = _SETTINGS | paths
    with Program("grafana", argv, log=log, environment=settings, ready_line=False) as process:
        url = f"http://127.0.0.1:{port}/api/health"
        process.await_status(url, 200, 4 * PATIENCE_SECONDS)
        grafana = Grafana(port, process)
        # It serves before it has read them.
        wanted = len(list(DASHBOARDS.glob("*.json")))
        ready = lambda: len(grafana.get("search", type="dash-db")) >= wanted  # noqa: E731
        eventually("the dashboards are there", process, ready)
        yield grafana


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with watched.serving(tmp_path_factory.mktemp("watched")) as serving:
        yield serving


@pytest.fixture(scope="module")
def prometheus(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with scraping(tmp_path_factory.mktemp("prometheus"), service.admin_port) as asked:
        yield asked


@pytest.fixture(scope="module")
def grafana(prometheus: Asked, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grafana]:
    with running(tmp_path_factory.mktemp("grafana"), prometheus.url) as started:
        yield started


def dashboards() -> dict[str, dict[str, Any]]:
    """Our dashboards by uid."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS.glob("*.json")]
    return {one["uid"]: one for one in read}


def test_provisioning_complains_of_nothing(grafana: Grafana) -> None:
    said = grafana.program.log.read_text(encoding="utf-8").splitlines()
    provisioning = [line for line in said if "logger=provisioning" in line]
    assert any("inserting datasource" in line for line in provisioning)
    assert [line for line in provisioning if re.search(r"level=(warn|error)", line)] == []
    assert [line for line in said if "level=error" in line] == []


def test_every_dashboard_is_there_as_it_was_written(grafana: Grafana) -> None:
    ours = dashboards()
    found = {one["uid"]: one for one in grafana.get("search", type="dash-db")}
    assert found.keys() == ours.keys()
    for uid, dashboard in ours.items():
        assert (found[uid]["title"], found[uid]["folderTitle"]) == (dashboard["title"], "tailrace")
        taken = grafana.get(f"dashboards/uid/{uid}")
        # The file it is from; `provisioned` only says whether the page may change it.
        assert taken["meta"]["provisionedExternalId"].endswith(".json")
        # What Grafana gives them is an id and a version of its own.
        given = {"id", "version"}
        assert taken["dashboard"].keys() == dashboard.keys()
        for key in dashboard.keys() - given:
            assert taken["dashboard"][key] == dashboard[key], (uid, key)
        for link in dashboard["links"]:
            assert link["url"].removeprefix("/d/") in ours


def test_the_data_source_is_there_and_answers(grafana: Grafana) -> None:
    source = grafana.source()
    told = (source["name"], source["type"], source["isDefault"])
    assert told == ("Prometheus", "prometheus", True)
    health = grafana.get(f"datasources/uid/{source['uid']}/health")
    assert health["status"] == "OK", health


def series(frame: dict[str, Any]) -> tuple[str, list[float]] | None:
    """The legend of a frame and its values, without those that are no number."""
    fields = frame["schema"]["fields"]
    if not fields:
        return None
    assert [one["type"] for one in fields] == ["time", "number"], fields
    numbers = [one for one in frame["data"]["values"][1] if one is not None]
    return fields[1]["config"]["displayNameFromDS"], numbers


def exemplars(frame: dict[str, Any]) -> bool:
    return frame["schema"].get("meta", {}).get("custom", {}).get("resultType") == "exemplar"


class Page:
    """A dashboard's queries, with its variables chosen and replaced as Grafana's page does it."""

    def __init__(self, grafana: Grafana, uid: str, chosen: dict[str, str]) -> None:
        self._grafana = grafana
        self._source = {"type": "prometheus", "uid": grafana.source()["uid"]}
        self._chosen = chosen
        panels = dashboards()[uid]["panels"]
        self.panels = {one["title"]: one for one in panels if one["type"] != "row"}

    def _target(self, target: dict[str, Any]) -> dict[str, Any]:
        assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        expression = target["expr"]
        for name, value in self._chosen.items():
            expression = expression.replace(f'"${name}"', f'"{value}"')
        assert set(re.findall(r"\$\w+", expression)) <= {"$__rate_interval"}
        # About the width of a panel in points; Grafana makes the step of it.
        shape = {"maxDataPoints": 400, "intervalMs": 15_000}
        return target | {"expr": expression, "datasource": self._source} | shape

    def frames(self, title: str) -> list[dict[str, Any]]:
        """What Grafana answers to all queries of a panel."""
        targets = self.panels[title]["targets"]
        now = time.time()
        body = {
            "queries": [self._target(target) for target in targets],
            "from": str(int((now - 3600) * 1000)),
            "to": str(int(now * 1000)),
        }
        results = self._grafana.post("ds/query", body)["results"]
        assert results.keys() == {target["refId"] for target in targets}
        for result in results.values():
            assert (result["status"], result.get("error")) == (200, None), (title, result)
        return [frame for result in results.values() for frame in result["frames"]]

    def series(self, title: str) -> dict[str, list[float]]:
        """The panel's values by legend; two of one legend could not be told apart."""
        told = [
            one for frame in self.frames(title) if not exemplars(frame) and (one := series(frame))
        ]
        legends = [legend for legend, _ in told]
        assert len(legends) == len(set(legends)), (title, legends)
        assert all(legend.strip() and "{" not in legend for legend in legends), (title, legends)
        return {legend: numbers for legend, numbers in told if numbers}

    def empty(self) -> set[str]:
        """The panels without any value, after all were asked."""
        return {title for title in self.panels if not self.series(title)}


def values(grafana: Grafana, metric: str, label: str) -> set[str]:
    """What `label_values(metric, label)` offers, asked as Grafana's page does."""
    path = f"datasources/uid/{grafana.source()['uid']}/resources/api/v1/label/{label}/values"
    now = time.time()
    span = {"start": str(int(now - 3600)), "end": str(int(now))}
    said = grafana.get(path, **{"match[]": metric}, **span)
    assert said["status"] == "success", said
    return set(said["data"])


def test_variables_offer_what_there_is(
    grafana: Grafana, service: Service, prometheus: Asked
) -> None:
    watched.visit(service)
    prometheus.eventually("it is up", lambda: prometheus.query("up == 1"))
    expected = {"job": {"tailrace"}, "view": watched.VIEWS, "upstream": watched.UPSTREAMS}
    seen = set()
    for dashboard in dashboards().values():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] != "query":
                continue
            name = variable["name"]
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert asked is not None
            metric, label = asked[1].replace('"$job"', '".*"'), asked[2]
            assert label == name
            assert values(grafana, metric, label) >= expected[name], name
            seen.add(name)
    assert seen == expected.keys()


# What has no series, or none with a value, although all is well: nobody is limited, nobody waits.
SILENT: Final = {"Requests worked on at once", "Wait, P99"}
PANELS, QUERIES = 64, 95
EVERYTHING: Final = dict.fromkeys(("job", "view", "upstream"), ".*")
CHOSEN: Final = {"job": "tailrace", "view": "(whole|partial)", "upstream": "(gone|up)"}


def test_every_panel_has_what_it_shows(
    grafana: Grafana, service: Service, prometheus: Asked
) -> None:
    """Each query of each panel, of all and of some views, is answered; all but two have values."""
    pages = [Page(grafana, uid, EVERYTHING) for uid in dashboards()]

    def filled() -> bool:
        watched.visit(service)
        empty = {title for page in pages for title in page.empty()}
        print("without values:", sorted(empty - SILENT))
        return empty <= SILENT

    prometheus.eventually("every panel has values", filled)
    panels = [panel for page in pages for panel in page.panels.values()]
    assert len(panels) == PANELS
    assert sum(len(panel["targets"]) for panel in panels) == QUERIES
    for uid in dashboards():
        page = Page(grafana, uid, CHOSEN)
        shown = {legend for title in page.panels for legend in page.series(title)}
        assert not {one for one in shown if re.search(r"\b(handled|kept|failing)\b", one)}


def test_a_slow_bucket_leads_to_a_request(
    grafana: Grafana, service: Service, prometheus: Asked
) -> None:
    """The marks in *Duration* are requests, by the id that log and reply have."""
    page = Page(grafana, "tailrace-service", EVERYTHING)

    def marked() -> bool:
        watched.visit(service)
        ids: list[str] = []
        for frame in page.frames("Duration"):
            names = [field["name"] for field in frame["schema"]["fields"]]
            if exemplars(frame) and "request_id" in names:
                ids += frame["data"]["values"][names.index("request_id")]
        return bool(ids) and all(ids)

    prometheus.eventually("a request is marked", marked)
