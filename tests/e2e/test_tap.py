"""`tailrace tap` on a served service: what was asked for comes, in order, and the rest is counted.

Every wait is for a line: the first says that the tap is open, so a request made after it is seen.
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PATIENCE_SECONDS = 60
TAILRACE = [sys.executable, "-m", "tailrace.cli"]
TAPS_MAX = 4

# Nobody listens on the upstream's port: the weak part is missing at once, the strong one fails.
SERVICE = """
from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong, weak

class Thing(BaseModel):
    id: str

things = Upstream("things", "http://127.0.0.1:9", timeout="400ms", bulkhead=40)
service = Service("shop", deadline="5s")

@service.view("/half/{id}")
class HalfView(View):
    thing: Thing | None = weak(things.get("/things/{id}"))

@service.view("/whole/{id}")
class WholeView(View):
    thing: Thing = strong(things.get("/things/{id}"))
"""


@dataclass
class Served:
    """A service that runs, and taps on it."""

    process: subprocess.Popen[str]
    service: str
    admin: str

    def get(self, path: str, request_id: str) -> int:
        connection = http.client.HTTPConnection(self.service, timeout=PATIENCE_SECONDS)
        connection.request("GET", path, headers={"x-request-id": request_id})
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    @contextmanager
    def tap(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A tap that is open."""
        process = subprocess.Popen(
            [*TAILRACE, "tap", "--admin", self.admin, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if "--json" in words:
                assert line(process)["type"] == "tap"
            yield process
        finally:
            process.kill()
            process.communicate()


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found = process.stdout.readline()
    if not found:
        raise AssertionError(f"the tap ended: {process.communicate()[1]}")
    told: dict[str, Any] = json.loads(found)
    return told


def requests(process: subprocess.Popen[str], count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        told = line(process)
        if told["type"] == "request":
            found.append(told)
    return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "service.py").write_text(SERVICE)
    process = subprocess.Popen(
        [
            *(*TAILRACE, "serve", "service.py", "--json", "--access-log", "off"),
            *("--port", "0", "--admin-port", "0"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        ready = line(process)
        strip = len("http://")
        yield Served(process, ready["service"][strip:], ready["admin"][strip:])
    finally:
        process.kill()
        process.communicate()


def test_requests_come_in_order_with_what_is_missing(served: Served) -> None:
    with served.tap("--json") as tap:
        assert served.get("/half/1", "first") == 200
        assert served.get("/whole/2", "second") == 502
        one, two = requests(tap, 2)
    assert one["format_version"] == 1
    assert (one["request_id"], one["view"], one["status"]) == ("first", "half", 200)
    assert one["missing"] == [{"part": "thing", "why": "connect"}]
    assert (one["degraded"], one["held_up_by"]["part"]) == (True, "thing")
    assert 0 < one["duration_ms"] < one["deadline_ms"] == 5_000
    assert (two["request_id"], two["view"], two["code"]) == ("second", "whole", "connect")


def test_only_what_was_asked_for_comes(served: Served) -> None:
    with (
        served.tap("--json", "--view", "whole", "--count", "1") as whole,
        served.tap("--json", "--slower-than", "60s") as slow,
        served.tap("--json", "--troubled", "--count", "2") as troubled,
    ):
        assert served.get("/half/1", "first") == 200
        assert served.get("/whole/2", "second") == 502
        assert [one["request_id"] for one in requests(whole, 1)] == ["second"]
        assert [one["request_id"] for one in requests(troubled, 2)] == ["first", "second"]
        assert whole.wait(PATIENCE_SECONDS) == troubled.wait(PATIENCE_SECONDS) == 0
        # The next sign of life comes after both requests.
        assert line(slow)["type"] == line(slow)["type"] == "tap"
        slow.send_signal(signal.SIGINT)
        assert slow.wait(PATIENCE_SECONDS) == 130


def test_text_is_one_line_for_a_person(served: Served) -> None:
    # Without --json nothing says that the tap is open: another one opened after it does.
    with served.tap("--count", "1") as tap, served.tap("--json") as other:
        assert tap.stdout is not None
        number = 0
        while tap.poll() is None:
            number += 1
            assert served.get("/half/1", f"id-{number}") == 200
            requests(other, 1)
        said = tap.stdout.read()
    assert tap.returncode == 0
    words = said.rstrip("\n").split("  ")
    assert words[1:3] == ["half", "200"]
    assert " of 5.00 s" in words[3]
    assert words[4:6] == ["missing thing (connect)", words[5]]
    assert words[5].startswith("held up by thing (saves ")


def test_taps_are_few_and_a_service_that_ends_ends_them(served: Served) -> None:
    with ExitStack() as stack:
        taps = [stack.enter_context(served.tap("--json")) for _ in range(TAPS_MAX)]
        with served.tap() as one_more:
            _, said = one_more.communicate(timeout=PATIENCE_SECONDS)
        assert one_more.returncode == 3
        assert "as many watch as may" in said
        served.process.send_signal(signal.SIGTERM)
        for tap in taps:
            _, said = tap.communicate(timeout=PATIENCE_SECONDS)
            assert tap.returncode == 3
            assert said.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--view", "hlaf"], 2, "no such view"),
        (["--slower-than", "5"], 2, "error: --slower-than "),
        (["--count", "0"], 2, "error: --count is from 1"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    words: list[str], code: int, said: str, served: Served
) -> None:
    with served.tap(*words) as tap:
        out, err = tap.communicate(timeout=PATIENCE_SECONDS)
    assert (tap.returncode, out) == (code, "")
    assert said in err
