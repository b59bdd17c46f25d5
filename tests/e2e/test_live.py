"""Limits change while `tailrace serve` runs: by file, by signal and over the admin port.

Every test waits for the revision the plane says it runs, never for a time. A bad change must leave
what is in force, and be told where the operator looks: on stderr, in `/config` and in the reply.
"""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from examples.orders.processes import CALM

pytestmark = pytest.mark.e2e

PATIENCE_SECONDS = 40
TOKEN = "0123456789abcdef"

# Nobody listens on the upstream's port: the weak part is missing at once, and the reply is 200.
SERVICE = """
from pydantic import BaseModel
from tailrace import Service, Upstream, View, weak

class Thing(BaseModel):
    id: str

things = Upstream("things", "http://127.0.0.1:9", timeout="400ms", bulkhead=40)
service = Service("shop", deadline="5s")

@service.view("/things/{id}")
class ThingView(View):
    thing: Thing | None = weak(things.get("/things/{id}"))
"""
FILE = '[upstreams.things]\ntimeout = "{}ms"\n'


@dataclass
class Running:
    """A served process; what it says on stderr is kept as it comes."""

    process: subprocess.Popen[str]
    folder: Path
    service: str = ""
    admin: str = ""
    said: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "tailrace.toml"

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """A request to the admin port; JSON where the answer is."""
        connection = http.client.HTTPConnection(self.admin, timeout=PATIENCE_SECONDS)
        connection.request(method, path, body or None, dict(headers or {}))
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        is_json = response.headers["content-type"] == "application/json"
        return response.status, json.loads(text) if is_json else text

    def post(self, body: str, kind: str = "json", token: str = TOKEN) -> tuple[int, Any]:
        headers = {"content-type": f"application/{kind}", "authorization": f"Bearer {token}"}
        return self.ask("/config", "POST", body, headers)

    def config(self) -> Any:
        return self.ask("/config")[1]

    def metric(self, series: str) -> float:
        """The value of one series, as it is written."""
        _, text = self.ask("/metrics")
        found = re.search(rf"^{re.escape(series)}(?:{{}})? (\S+)$", text, re.MULTILINE)
        assert found, series
        return float(found[1])

    def timeout(self) -> float:
        return float(self.config()["upstreams"]["things"]["timeout_ms"])

    def until(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ready():
            assert time.monotonic() < deadline, f"never: {what}\n{''.join(self.said)}"
            assert self.process.poll() is None, "".join(self.said)
            time.sleep(0.01)

    def until_revision(self, number: int) -> None:
        self.until(f"revision {number}", lambda: self.config()["revision"] == number)

    def until_said(self, pattern: str) -> str:
        """The line that matches."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [line for line in self.said if re.search(pattern, line)]
            return bool(found)

        self.until(pattern, look)
        return found[0]


@contextmanager
def serving(folder: Path, *words: str, stderr: int = subprocess.PIPE) -> Iterator[Running]:
    (folder / "service.py").write_text(SERVICE)
    ports = ("--port", "0", "--admin-port", "0", "--access-log", "off")
    process = subprocess.Popen(
        [sys.executable, "-m", "tailrace.cli", "serve", "service.py", "--json", *ports, *words],
        cwd=folder,
        env={**os.environ, **CALM, "TAILRACE_ADMIN_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    running = Running(process, folder)

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            running.said.append(line)

    listener = threading.Thread(target=listen)
    try:
        if stderr == subprocess.PIPE:
            listener.start()
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline() or "{}")
        assert ready, "".join(running.said)
        running.service = ready["service"].removeprefix("http://")
        running.admin = ready["admin"].removeprefix("http://")
        yield running
    finally:
        process.kill()
        process.wait()
        if listener.ident:
            listener.join()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A service whose file says 100 ms and is watched."""
    (tmp_path / "tailrace.toml").write_text(FILE.format(100))
    with serving(tmp_path) as started:
        assert started.timeout() == 100
        yield started


@pytest.fixture
def unwatched(tmp_path: Path) -> Iterator[Running]:
    """The same, and only a signal or a POST changes anything."""
    (tmp_path / "tailrace.toml").write_text(FILE.format(100))
    with serving(tmp_path, "--watch", "off") as started:
        yield started


def test_a_written_file_is_followed(running: Running) -> None:
    running.until_said("tailrace.toml is watched: limits follow it while requests run")
    running.file.write_text(FILE.format(101) + "bulkhead = 7\n")
    running.until_revision(2)
    config = running.config()
    assert (running.timeout(), config["upstreams"]["things"]["bulkhead"]) == (101, 7)
    origins = config["origins"]
    assert origins["upstreams.things.timeout_ms"] == "tailrace.toml:2"
    assert origins["upstreams.things.bulkhead.limit"] == "tailrace.toml:3"
    change = config["changes"]["upstreams.things.bulkhead.limit"]
    assert (change["from"], change["to"], change["revision"]) == ("40", "7", 2)
    assert change["source"] == "file tailrace.toml"
    said = "config: revision 2 (file tailrace.toml): upstreams.things.timeout_ms 100 -> 101"
    running.until_said(re.escape(f"{said} (tailrace.toml:2)"))
    # What the file no longer says falls back to the code.
    running.file.write_text(FILE.format(101))
    running.until_revision(3)
    assert running.config()["upstreams"]["things"]["bulkhead"] == 40


def test_the_limits_of_admission_follow(running: Running) -> None:
    # A client's rate, in force for the next request; what was spent stays spent.
    def asked() -> int:
        connection = http.client.HTTPConnection(running.service, timeout=PATIENCE_SECONDS)
        with closing(connection):
            connection.request("GET", "/things/1")
            return connection.getresponse().status

    table = "[admission]\ncalls_max = 77\nrate.per_second = 0.001\nrate.burst = {}\n"
    for revision, burst in ((2, 2), (3, 4)):
        running.file.write_text(FILE.format(100) + table.format(burst))
        running.until_revision(revision)
        assert [asked() for _ in range(4)] == [200, 200, 429, 429]
    assert running.config()["origins"]["admission.calls_max"] == "tailrace.toml:4"
    running.file.write_text(FILE.format(100))
    running.until_revision(4)
    assert asked() == 200


def test_a_replaced_file_is_followed(running: Running) -> None:
    for turn in range(3):
        other = running.folder / "new.toml"
        other.write_text(FILE.format(200 + turn))
        other.rename(running.file)
        running.until_revision(2 + turn)
        assert running.timeout() == 200 + turn


def test_a_swapped_link_is_followed(tmp_path: Path) -> None:
    """A Kubernetes ConfigMap: the file is a link through `..data`, which is swapped."""
    mount = tmp_path / "mount"
    for name, value in (("one", 100), ("two", 102)):
        (mount / name).mkdir(parents=True)
        (mount / name / "tailrace.toml").write_text(FILE.format(value))
    (mount / "..data").symlink_to("one")
    (mount / "tailrace.toml").symlink_to("..data/tailrace.toml")
    with serving(tmp_path, "--config", "mount/tailrace.toml") as started:
        assert started.timeout() == 100
        (mount / "..data_tmp").symlink_to("two")
        (mount / "..data_tmp").rename(mount / "..data")
        started.until_revision(2)
        assert started.timeout() == 102


def test_a_signal_reads_the_file_again_and_no_request_is_lost(unwatched: Running) -> None:
    """SIGHUP under load; the connection of the client stays the same."""
    stop, statuses = threading.Event(), []

    def load() -> None:
        connection = http.client.HTTPConnection(unwatched.service, timeout=PATIENCE_SECONDS)
        while not stop.is_set():
            connection.request("GET", "/things/1")
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()

    client = threading.Thread(target=load)
    client.start()
    try:
        for turn in range(20):
            before = len(statuses)
            unwatched.file.write_text(FILE.format(300 + turn))
            unwatched.process.send_signal(signal.SIGHUP)
            unwatched.until_revision(2 + turn)
            assert unwatched.timeout() == 300 + turn
            unwatched.until("requests", lambda before=before: len(statuses) > before)
    finally:
        stop.set()
        client.join()
    assert set(statuses) == {200}
    assert unwatched.metric('tailrace_config_changes_total{result="ok"}') == 20
    assert unwatched.metric("tailrace_config_revision") == 21
    assert unwatched.metric("tailrace_connections_accepted_total") == 1
    unwatched.process.send_signal(signal.SIGHUP)
    unwatched.until_said(r"config: nothing changed \(SIGHUP\); revision 21 stays")
    unwatched.process.send_signal(signal.SIGTERM)
    assert unwatched.process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM


BAD = {
    "syntax": ('[limits]\nidle = "9s\n', "TR204", "tailrace.toml:2:", ""),
    "unknown key": ('[limits]\nidel = "9s"\n', "TR201", "tailrace.toml:2:1", "`idle`?"),
    "unknown upstream": ("[upstreams.thing]\n", "TR205", "tailrace.toml:1:", "`things`?"),
    "no unit": ("[upstreams.things]\ntimeout = 9\n", "TR001", "tailrace.toml:2:1", '"9ms"'),
    "nonsense": ("[upstreams.things]\nbulkhead = 0\n", "TR014", "tailrace.toml:2:1", "from 1"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_keeps_the_good_one(what: str, running: Running) -> None:
    text, code, place, words = BAD[what]
    running.file.write_text(text)
    running.until("the refusal", lambda: running.config()["refused"] is not None)
    config = running.config()
    assert (config["revision"], running.timeout()) == (1, 100)
    error = config["refused"]["error"]
    assert error.startswith(f"error[{code}]: ")
    assert f"--> {place}" in error
    assert words in error
    assert config["refused"]["source"] == "file tailrace.toml"
    running.until_said(r"config: refused \(file tailrace.toml\); revision 1 stays")
    running.until_said(re.escape(f"--> {place}"))
    # A POST stands on the last good file.
    assert running.post('{"limits": {"idle": "9s"}}')[0] == 200
    assert (running.timeout(), running.config()["limits"]["idle_ms"]) == (100, 9_000)
    # The next good one is taken, whatever stood there.
    running.file.write_text(FILE.format(103))
    running.until_revision(3)
    assert running.timeout() == 103
    assert running.metric('tailrace_config_changes_total{result="refused"}') == 1


def test_what_needs_a_restart_is_refused_by_name(running: Running) -> None:
    running.file.write_text(FILE.format(104) + "[listen]\nworkers = 31\n")
    running.until("the refusal", lambda: running.config()["refused"] is not None)
    error = running.config()["refused"]["error"]
    assert re.fullmatch(r"error: needs a restart: listen\.workers none -> 31", error)
    assert running.timeout() == 100, "nor is the rest of it in force"


def test_a_file_that_is_gone_keeps_what_is_in_force(running: Running) -> None:
    running.file.unlink()
    running.until("the refusal", lambda: running.config()["refused"] is not None)
    assert "cannot read the config file" in running.config()["refused"]["error"]
    assert running.timeout() == 100


def test_the_admin_port_sets_above_the_file_until_it_takes_away(unwatched: Running) -> None:
    status, answer = unwatched.post('{"upstreams": {"things": {"timeout": "61ms"}}}')
    assert status == 200
    assert answer["revision"] == 2
    assert answer["changes"] == [
        {
            "path": "upstreams.things.timeout_ms",
            "from": "100",
            "to": "61",
            "origin": "admin POST /config",
        }
    ]
    # A later change of the file is read, and stays below what was set.
    unwatched.file.write_text(FILE.format(105) + "bulkhead = 9\n")
    status, answer = unwatched.ask(
        "/config/reload", "POST", headers={"authorization": f"Bearer {TOKEN}"}
    )
    assert (status, [one["path"] for one in answer["changes"]]) == (
        200,
        ["upstreams.things.bulkhead.limit"],
    )
    config = unwatched.config()
    assert (unwatched.timeout(), config["revision"]) == (61, 3)
    assert config["origins"]["upstreams.things.timeout_ms"] == "admin POST /config"
    status, answer = unwatched.post("[limits]\nidle = '9s'\n", kind="toml")
    assert (status, answer["revision"]) == (200, 4)
    # Null takes away, and the file is heard again.
    status, answer = unwatched.post('{"upstreams": null, "limits": {"idle": null}}')
    assert (status, answer["revision"]) == (200, 5)
    assert unwatched.timeout() == 105
    assert unwatched.config()["origins"]["upstreams.things.timeout_ms"] == "tailrace.toml:2"
    assert unwatched.config()["limits"]["idle_ms"] == 30_000


def test_a_refused_post_says_why_and_leaves_nothing_behind(unwatched: Running) -> None:
    for body, status, words in [
        ('{"limits": {"idel": "9s"}}', 422, "did you mean `idle`?"),
        ('{"listen": {"port": 1}}', 422, "needs a restart: listen.port"),
        ('{"limits"', 400, "the body is not JSON"),
    ]:
        found, answer = unwatched.post(body)
        assert (found, answer["revision"]) == (status, 1), answer
        assert words in answer["error"]
    assert unwatched.post("{}", token="0" * 16)[0] == 401
    assert unwatched.post("{}", kind="xml")[0] == 415
    assert unwatched.ask("/config/reload", "POST")[0] == 401
    # None of it is part of the next change.
    status, answer = unwatched.post('{"limits": {"idle": "9s"}}')
    assert (status, answer["revision"], len(answer["changes"])) == (200, 2, 1)


def test_the_pages_for_callers_follow(unwatched: Running) -> None:
    def deadline() -> float:
        paths = unwatched.ask("/openapi.json")[1]["paths"]
        return float(paths["/things/{id}"]["get"]["x-tailrace-deadline-ms"])

    assert deadline() == 5_000
    assert unwatched.post('{"service": {"deadline": "3s"}}')[0] == 200
    assert deadline() == 3_000


def test_a_terminal_that_goes_ends_the_service(tmp_path: Path) -> None:
    """SIGHUP of a closed terminal is no wish for a reload."""
    ours, theirs = pty.openpty()
    try:
        with serving(tmp_path, stderr=theirs) as started:
            os.close(theirs)
            theirs = -1
            os.close(ours)
            ours = -1
            started.process.send_signal(signal.SIGHUP)
            assert started.process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    finally:
        for end in (ours, theirs):
            with suppress(OSError):
                os.close(end)
