"""`tailrace profile` on a served service: each verb, its files, and what is refused (req 12.2).

What a test waits for is what the service says of itself; nothing is measured against a clock.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from looks import TAILRACE, asking, profile, told, until
from python_side import Upstream, get, serving

from examples.orders.processes import Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

CODE = """
import asyncio
import time

@service.get("/chain/{id}")
async def chain(id: str) -> Thing:
    return await up.get("/things/{id}", Thing, id=id)

@service.get("/held/{id}")
async def held(id: str) -> Thing:
    return await up.get("/hang/{id}", Thing, id=id)

@service.get("/asleep/{id}")
async def asleep(id: str) -> Thing:
    await doze()
    return Thing(id=id)

async def doze() -> None:
    await asyncio.sleep(30)

@service.get("/holding/{id}")
async def holding(id: str) -> Thing:
    hold_the_loop()
    return Thing(id=id)

def hold_the_loop() -> None:
    time.sleep(6)

@service.get("/busy/{id}")
async def busy(id: str) -> Thing:
    spin_in_python()
    return Thing(id=id)

def spin_in_python() -> int:
    return sum(number * number for number in range(200_000))

kept = []

@service.get("/hoard/{id}")
async def hoard(id: str) -> Thing:
    kept.append(bytearray(100_000))
    return Thing(id=id)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    upstream = Upstream()
    with serving(tmp_path_factory.mktemp("profile"), upstream, CODE) as running:
        yield running
    upstream.close()


@contextmanager
def load(service: Service, path: str) -> Iterator[None]:
    """One request after the other, until the end."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            with suppress(OSError, http.client.HTTPException):
                get(service.port, path)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def with_request(service: Service, request_id: str) -> Callable[[], dict[str, Any] | None]:
    def look() -> dict[str, Any] | None:
        dump = told(service, "tasks")
        requests = [one for worker in dump["workers"] for one in worker["requests"]]
        own = [one for one in requests if one["request_id"] == request_id]
        return {"request": own[0], "dump": dump} if own else None

    return look


def test_a_handler_that_sleeps_is_told_with_its_stack(service: Service) -> None:
    with asking(service, "/asleep/7", "asleep-1"):
        seen = until(with_request(service, "asleep-1"))
        text = profile(service, "tasks").stdout
    request = seen["request"]
    assert request["view"] == "asleep"
    assert [one["waits_for"] for one in request["waits"]] == ["python_handler"]
    assert request["age_ms"] > 0 and request["deadline_left_ms"] > 0
    python = seen["dump"]["python"]
    assert python["answered"] is True
    (task,) = [one for one in python["tasks"] if one["name"] == "asleep"]
    assert [frame.split(" ")[0] for frame in task["stack"][1:3]] == ["asleep", "doze"]
    if sys.version_info >= (3, 12):
        assert task["request_id"] == "asleep-1"
    assert "asleep-1" in text and "its handler in Python" in text and "doze (" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


def test_a_handler_that_holds_the_loop_is_seen_on_its_thread(service: Service) -> None:
    with asking(service, "/holding/7", "holding-1"):

        def look() -> dict[str, Any] | None:
            python = told(service, "tasks")["python"]
            threads = [one for one in python["threads"] if one["name"] == "tailrace-python"]
            stacks = "\n".join(frame for one in threads for frame in one["stack"])
            return {"stack": stacks} if "hold_the_loop (" in stacks else None

        assert "holding (" in until(look)["stack"]


def test_a_call_that_hangs_is_told_by_its_upstream(service: Service) -> None:
    with asking(service, "/held/7", "held-1"):

        def look() -> dict[str, Any] | None:
            seen = with_request(service, "held-1")()
            waits = seen["request"]["waits"] if seen else []
            return waits[0] if [one["waits_for"] for one in waits] == ["first_byte"] else None

        wait = until(look)
    assert (wait["part"], wait["upstream"]) == ("up", "up")
    assert (wait["attempt"], wait["kind"]) == (1, "first")
    assert wait["for_ms"] >= 0 and wait["left_ms"] > 0


def spinning(found: dict[str, Any]) -> dict[str, Any] | None:
    """A profile that met the handler at work; on a full machine it may wait all the time."""
    stacks = [";".join(one["frames"]) for one in found["python"]["stacks"]]
    met = any("tailrace-python;" in one and "spin_in_python" in one for one in stacks)
    return found if met else None


def test_processor_time_of_both_sides_is_found(service: Service, tmp_path: Path) -> None:
    with load(service, "/busy/7"):
        found = until(lambda: spinning(told(service, "cpu", "--seconds", "2")))
        picture, lines = tmp_path / "cpu.svg", tmp_path / "cpu.txt"
        drawn = profile(service, "cpu", "--seconds", "1", "-o", str(picture))
        folded = profile(service, "cpu", "--seconds", "1", "-o", str(lines))
        text = profile(service, "cpu", "--seconds", "1").stdout
    python = found["python"]
    assert python["answered"] is True and python["samples"] > 0 and python["cost_ms"] >= 0
    if sys.platform == "linux":
        names = [one["name"] for one in found["native"]["threads"]]
        assert "worker 0" in names and "tailrace-python" not in names
    assert (drawn.returncode, folded.returncode) == (0, 0), drawn.stderr + folded.stderr
    root = ElementTree.fromstring(picture.read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for line in lines.read_text().splitlines():
        stack, _, weight = line.rpartition(" ")
        assert stack.split(";")[0] in ("native", "python") and int(weight) >= 0
    assert "sampling Python took" in text
    assert max(map(len, text.splitlines())) <= 80


def test_memory_is_told_by_owner_and_pythons_by_place(service: Service) -> None:
    plain = told(service, "heap")
    owners = {one["owner"] for one in plain["owners"]}
    assert {"receipts", "buffer_pool", "documents", "waiting_for_python"} <= owners
    assert plain["python"]["traced"] is False and plain["python"]["allocated_blocks"] > 0
    assert plain["allocators"], "at least one says something of itself"
    with load(service, "/hoard/7"):
        found = told(service, "heap", "--seconds", "2", "--python", "5")
    traced = found["python"]
    assert traced["traced"] is True and 1 <= len(traced["places"]) <= 5
    assert traced["places"][0]["place"].split(":")[0].endswith(".py")
    assert traced["cost"]["counting_ms"] >= 0 and traced["cost"]["tracing_bytes"] > 0
    # It has ended with the profile.
    assert told(service, "heap")["python"]["traced"] is False
    text = profile(service, "heap").stdout
    assert "not tracked by place of code" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_trace_is_written_for_perfetto(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    with load(service, "/chain/7"):
        ended = profile(service, "trace", "--seconds", "2", "-o", str(file))
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert ended.stderr.startswith(f"{file}: ")
    trace = json.loads(file.read_text())
    kinds = {event.get("cat") for event in trace["traceEvents"] if event["ph"] == "X"}
    assert {"request", "call", "attempt", "wait", "poll"} <= kinds
    assert trace["otherData"]["requests"] > 0
    names = [one["args"]["name"] for one in trace["traceEvents"] if one["name"] == "process_name"]
    assert names[0].endswith("worker 0")


def test_what_cannot_be_is_one_line(service: Service, tmp_path: Path) -> None:
    for words, code, said in [
        (("memory",), 2, "error: there is no profile of 'memory'"),
        (("cpu", "--seconds", "31"), 2, "error: --seconds is from 1 to 30, not 31"),
        (("cpu", "--python", "3"), 2, "error: --python is for `heap`, not for `cpu`"),
        (("heap", "--python", "0"), 2, "error: --python is from 1 to 100, not 0"),
        (("cpu", "-o", str(tmp_path / "no" / "cpu.svg")), 2, "there is no such directory"),
        (("tasks", "-o", str(tmp_path)), 3, "error: -o "),
    ]:
        ended = profile(service, *words)
        assert (ended.returncode, ended.stdout) == (code, ""), ended
        assert said in ended.stderr, ended.stderr


def test_one_at_a_time_and_ctrl_c_ends_it(service: Service) -> None:
    words = [*TAILRACE, "profile", "trace", "--seconds", "30", "--json"]
    admin = f"127.0.0.1:{service.admin_port}"
    first = subprocess.Popen([*words, "--admin", admin], stdout=subprocess.PIPE, text=True)
    try:

        def refused() -> dict[str, Any] | None:
            ended = profile(service, "tasks")
            return {"err": ended.stderr} if ended.returncode == 3 else None

        assert "a profile runs already" in until(refused)["err"]
    finally:
        first.kill()
        first.communicate()

    def free() -> dict[str, Any] | None:
        ended = profile(service, "tasks", "--json")
        return json.loads(ended.stdout) if ended.returncode == 0 else None

    assert until(free)["profile"] == "tasks"
