"""`tailrace serve` ends when told, whatever is stuck, and says what became of its requests.

Each was wrong once: a log that nobody reads held the process for ever, signals were dead after the
drain, and requests that the drain's own timer had cut off were called answered (req 11.4).
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.orders.processes import CALM

pytestmark = pytest.mark.e2e

# Far above the second or two it takes, far below the for ever it took.
PATIENCE_SECONDS = 40

SERVICE = """
from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong

class Thing(BaseModel):
    id: str

things = Upstream("things", "http://127.0.0.1:{port}", timeout="40s", bulkhead=40)
service = Service("held", deadline="45s")

@service.view("/things/{{id}}")
class ThingView(View):
    thing: Thing = strong(things.get("/things/{{id}}"))
"""


@contextmanager
def serving(
    folder: Path, *words: str, stdout: int = subprocess.DEVNULL, upstream: int = 9
) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """A running service and its address; killed when the test has not ended it."""
    (folder / "service.py").write_text(SERVICE.format(port=upstream))
    command = [sys.executable, "-m", "tailrace.cli", "serve", "service.py", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--admin-port", "0", *words],
        cwd=folder,
        env={**os.environ, **CALM},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        found = re.search(r"serves on http://([\d.]+):(\d+)", first)
        assert found, first + process.stderr.read()
        assert any(line.startswith("Ctrl-C") for line in process.stderr)
        yield process, (found[1], int(found[2]))
    finally:
        process.kill()
        process.communicate()


def ask(address: tuple[str, int], path: str) -> socket.socket:
    connection = socket.create_connection(address, timeout=PATIENCE_SECONDS)
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: h\r\n\r\n".encode())
    return connection


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that is full and that nobody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        for size in (65_536, 1):
            try:
                while True:
                    os.write(writing, b"x" * size)
            except BlockingIOError:
                pass
        os.set_blocking(writing, True)
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_log_that_nobody_reads_does_not_hold_the_process(
    number: signal.Signals, tmp_path: Path, full_pipe: int
) -> None:
    with serving(tmp_path, stdout=full_pipe) as (process, address):
        with ask(address, "/nowhere") as client:
            assert client.recv(65_536).startswith(b"HTTP/1.1 404")
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 128 + number
    assert err.endswith("drained; every request was answered\n")


def test_two_signals_end_it_while_the_log_is_stuck(tmp_path: Path, full_pipe: int) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as upstream,
        serving(tmp_path, stdout=full_pipe, upstream=upstream.getsockname()[1]) as started,
    ):
        process, address = started
        with ask(address, "/things/1"):
            call, _ = upstream.accept()
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            assert any(line.startswith("draining 1 request") for line in process.stderr)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=PATIENCE_SECONDS)
            call.close()
    assert process.returncode == 128 + signal.SIGTERM
    assert err.endswith("stopped; 1 request was cut off\n")


@pytest.mark.parametrize("drain", ["1ms", "60ms", "300ms", "1s", "1400ms"])
def test_requests_that_were_cut_off_are_not_called_answered(drain: str, tmp_path: Path) -> None:
    """Two timers end the drain, the plane's and the command's; whichever is first, it is said."""
    with (
        socket.create_server(("127.0.0.1", 0)) as upstream,
        serving(
            tmp_path,
            *("--drain", drain, "--access-log", "off"),
            upstream=upstream.getsockname()[1],
        ) as (process, address),
    ):
        clients = [ask(address, f"/things/{number}") for number in range(2)]
        calls = [upstream.accept()[0] for _ in clients]
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
        for connection in clients + calls:
            connection.close()
    assert err.endswith("stopped; 2 requests were cut off\n")
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_log_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    with serving(tmp_path, "--access-log", "/dev/full") as (process, address):
        for _ in range(3):
            with ask(address, "/nowhere") as client:
                assert client.recv(65_536).startswith(b"HTTP/1.1 404")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert err.count("warning: access log: ") == 1
    assert "tailrace_access_log_failed_total" in err
