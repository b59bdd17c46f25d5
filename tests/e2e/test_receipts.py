"""Receipts of a served process: a handler's Python time apart from its calls, and `why`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from python_side import Upstream, get, metric, serving

from examples.orders.processes import PATIENCE_SECONDS, Service

pytestmark = pytest.mark.e2e

CODE = """
@service.get("/chain/{id}")
async def chain(id: str) -> Pair:
    one = await up.get("/things/{id}", Thing, id=id)
    return Pair(one=one, other=await broken.get("/things/{id}", Thing, id=one.id))
"""
FIRST = 128
"""Requests before the first comparison with a P99."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    upstream = Upstream()
    with serving(tmp_path_factory.mktemp("receipts"), upstream, CODE) as running:
        yield running
    upstream.close()


def receipts(service: Service, query: str) -> list[dict[str, Any]]:
    reply = get(service.admin_port, f"/receipts?{query}")
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json["receipts"]
    return found


# req 3.2, 7.1, 12.1: what a request allocates is counted where it is polled.
def test_one_request_in_64_tells_what_it_allocated(service: Service) -> None:
    told = "tailrace_measured_"
    view = 'view="declared"'

    def measured() -> float:
        return metric(service, f"{told}requests_total", view)

    before = measured()
    found: list[dict[str, Any]] = []
    for _ in range(2 * 64 + 2):
        assert get(service.port, "/declared/7").status == 200
    for one in receipts(service, "view=declared&limit=100"):
        close = one["cpu"]["thread_ms"] is not None
        assert close is (one["memory"]["allocations"] is not None), one["memory"]
        found += [one["memory"]] if close else []
    # Each of two workers measures one in 64 of its own.
    assert before + 1 <= measured() <= before + 4
    assert len(found) >= 1
    for one in found:
        assert one["allocated_bytes"] >= one["allocations"] > 0, "a call keeps its answer at least"
    count, size = (
        metric(service, f"{told}{what}_total", view) for what in ("allocations", "allocated_bytes")
    )
    assert size >= count >= sum(one["allocations"] for one in found)
    assert metric(service, f"{told}cpu_seconds_total", view) > 0


def test_a_handlers_time_is_its_calls_and_python(service: Service) -> None:
    """req 3.1: what is spent in Python, on its loop and on its lock stands apart from calls."""
    assert get(service.port, "/chain/7", **{"X-Request-Id": "told"}).status == 200
    (one,) = [row for row in receipts(service, "view=chain") if row["request_id"] == "told"]
    steps = one["tail"]["steps"]
    assert [step["step"] for step in steps].count("python") >= 2, steps
    assert {"up", "broken"} <= {step["part"] for step in steps if step["step"] == "upstream"}
    nanos = sum(round(step["took_ms"] * 1e6) for step in steps)
    assert nanos == round(one["duration_ms"] * 1e6)
    assert [part["name"] for part in one["parts"]] == ["up", "broken"]
    assert one["concurrency"]["calls"] == 2
    waits = one["python"]
    assert waits["loop_wait_ms"] > 0 and waits["lock_wait_ms"] >= 0
    python = sum(step["took_ms"] for step in steps if step["step"] == "python")
    assert waits["loop_wait_ms"] <= python, "waiting for the loop is part of the time in Python"


def test_why_ranks_what_a_running_service_waits_for(service: Service) -> None:
    """req 3.5, from real requests to the words on the screen."""
    port = service.admin_port
    asked = 0
    while _slow(service) == 0 and asked < 8 * FIRST:
        for number in range(FIRST):
            assert get(service.port, f"/declared/{number}").status == 200
        asked += FIRST
    ended = why("p99", "--view", "declared", "--admin", f"127.0.0.1:{port}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "it " in ended.stdout and "what to do" in ended.stdout
    data = json.loads(why("p99", "--admin", f"http://127.0.0.1:{port}", "--json").stdout)
    (view,) = [row for row in data["views"] if row["view"] == "declared"]
    assert view["parts"][0]["part"] == "it"
    assert view["parts"][0]["upstream"] == "up"
    assert view["advice"][0].startswith("it: ")
    means = sum(sum(part["steps"].values()) for part in view["parts"])
    assert means + sum(view["steps"].values()) == pytest.approx(view["slow_mean_ms"])


def _slow(service: Service) -> int:
    (view,) = get(service.admin_port, "/why?view=declared").json["views"]
    return int(view["slow"])


def why(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tailrace.cli", "why", *words],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
