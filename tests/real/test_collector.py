"""The OpenTelemetry Collector itself understands what a service sends it (req 16.6).

Prevents spans that only our own decoder reads. The collector is built by tools/collector.sh from
its Go modules; it writes what it has understood to a log, which is read here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import rows
import shop

sys.path.insert(0, str(rows.ROOT))

from examples.orders.processes import PATIENCE_SECONDS, Program, free_ports

PROGRAM: Final = rows.ROOT / ".venv" / "collector" / "collector"

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PROGRAM.exists(), reason="no collector: tools/collector.sh needs Go"),
]

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"


def configuration(port: int) -> str:
    http = {"endpoint": f"127.0.0.1:{port}"}
    pipeline = {"receivers": ["otlp"], "exporters": ["debug"]}
    settings = {
        "receivers": {"otlp": {"protocols": {"http": http}}},
        "exporters": {"debug": {"verbosity": "detailed"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": pipeline},
        },
    }
    return "yaml:" + json.dumps(settings)


def wait_for(log: Path, words: list[str]) -> str:
    """What the collector has written, once all `words` are in it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        text = log.read_text(errors="replace")
        missing = [word for word in words if word not in text]
        if not missing:
            return text
        assert time.monotonic() < end, f"never written: {missing}\n{text[-4000:]}"
        time.sleep(0.05)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    (port,) = free_ports(1)
    log = tmp_path / "collector.log"
    arguments = [str(PROGRAM), "--config", configuration(port)]
    with Program("collector", arguments, log=log, ready_line=False):
        wait_for(log, ["Everything is ready"])
        yield port, log


def spans(text: str) -> dict[str, dict[str, str]]:
    """The spans of a collector's log by their name; of several the last."""
    found: dict[str, dict[str, str]] = {}
    for block in re.split(r"Span #\d+\n", text)[1:]:
        fields = dict(re.findall(r"^ *(?:-> )?([\w. ]+?) *: (.*)$", block, re.MULTILINE))
        found[fields["Name"]] = fields
    return found


def test_the_collector_reads_a_tree(tmp_path: Path, collector: tuple[int, Path]) -> None:
    """Ids, parents, kinds, names and statuses, as the collector has understood them."""
    port, log = collector
    given = {
        "TAILRACE_TRACING_ENABLED": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "TAILRACE_ACCESS_LOG_FORMAT": "off",
    }
    parent = f"00-{TRACE}-00f067aa0ba902b7-01"
    with shop.serving(tmp_path, given) as service:
        paths = ("/partial/7", "/handled/8")
        assert shop.ask(service, *paths, traceparent=parent) == [200, 200]
        text = wait_for(log, ["GET /partial/{id}", "GET /handled/{id}"])
    found = spans(text)
    root, handled = found["GET /partial/{id}"], found["GET /handled/{id}"]
    assert {root["Trace ID"], handled["Trace ID"]} == {TRACE}
    assert root["Parent ID"] == "00f067aa0ba902b7"
    assert root["Kind"] == "Server"
    assert root["tailrace.kept"] == "Str(degraded)"
    assert root["http.response.status_code"] == "Int(200)"
    assert handled["tailrace.kept"] == "Str(sampled)"
    it, extra, python = found["it"], found["extra"], found["handler"]
    assert it["Parent ID"] == extra["Parent ID"] == root["ID"]
    assert python["Parent ID"] == handled["ID"]
    assert found["up"]["Parent ID"] == python["ID"]
    assert extra["Status code"] == "Error"
    assert extra["error.type"] == "Str(connect)"
    assert it["Status code"] == "Unset"
    assert "service.name: Str(shop)" in text


def test_the_collector_reads_the_span_of_the_doctor(collector: tuple[int, Path]) -> None:
    port, log = collector
    words = ("doctor", "--json", "--port", "1", "--collector", f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "tailrace.cli", *words]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)
    (found,) = [one for one in told["checks"] if one["name"] == "collector"]
    assert found["status"] == "ok", found
    text = wait_for(log, ["tailrace doctor"])
    assert spans(text)["tailrace doctor"]["Trace ID"] == found["found"].rpartition(" ")[2]
