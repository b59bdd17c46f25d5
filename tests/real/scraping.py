"""A Prometheus of the test's own, which scrapes one service every second.

Prevents two ways to start it that drift apart: the tests that read Prometheus itself and those that
read it through Grafana ask the same one.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import rows

sys.path.insert(0, str(rows.ROOT))

from examples.orders.processes import PATIENCE_SECONDS, Program, free_ports

RULES: Final = rows.ROOT / "ops" / "prometheus"
DASHBOARDS: Final = rows.ROOT / "ops" / "grafana" / "dashboards"
BUILT: Final = rows.ROOT / ".venv" / "prometheus"

_CONFIGURATION: Final = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/recording.yml", "{rules}/alerts.yml"]
scrape_configs:
  - job_name: tailrace
    static_configs: [{{targets: ["127.0.0.1:{admin}"]}}]
"""


def found(name: str) -> str | None:
    """Where the program is: on the path, or as tools/prometheus.sh has built it."""
    return shutil.which(name) or shutil.which(name, path=str(BUILT))


PROMETHEUS: Final = found("prometheus")


def eventually(what: str, program: Program, ready: Callable[[], Any]) -> None:
    """Asks `ready` until it says so, as long as `program` runs and patience lasts."""
    end = time.monotonic() + 4 * PATIENCE_SECONDS
    while not ready():
        assert time.monotonic() < end, f"never came true: {what}"
        assert program.running, program.did_not_start("ended")
        time.sleep(0.1)


class Asked:
    """A running Prometheus."""

    def __init__(self, port: int, program: Program) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.program = program

    def api(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=20) as reply:
            said = json.load(reply)
        assert said["status"] == "success", said
        return said["data"]

    def query(self, expression: str) -> list[Any]:
        result: list[Any] = self.api("query", query=expression)["result"]
        return result

    def eventually(self, what: str, ready: Callable[[], Any]) -> None:
        eventually(what, self.program, ready)


@contextmanager
def scraping(folder: Path, admin: int) -> Iterator[Asked]:
    """Starts Prometheus on the service whose admin port is `admin`; it ends with the block."""
    assert PROMETHEUS is not None
    (port,) = free_ports(1)
    configuration = folder / "prometheus.yml"
    text = _CONFIGURATION.format(rules=RULES, admin=admin)
    configuration.write_text(text, encoding="utf-8")
    argv = [
        PROMETHEUS,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    log = folder / "output.log"
    with Program("prometheus", argv, log=log, ready_line=False) as process:
        process.await_status(f"http://127.0.0.1:{port}/-/ready", 200, 2 * PATIENCE_SECONDS)
        yield Asked(port, process)
