"""`serve` as a process: what it says, where, and how it leaves."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running import PATIENCE_SECONDS, SERVICE, TAILRACE, clean_environment

from examples.orders.processes import CALM

pytestmark = pytest.mark.e2e

Process = subprocess.Popen[str]


@contextmanager
def serving(folder: Path, *words: str, **env: str) -> Iterator[tuple[Process, dict[str, Any]]]:
    """A running service and its ready line; killed when the test has not ended it."""
    process = subprocess.Popen(
        [*TAILRACE, "serve", "service.py", "--json", "--port", "0", "--admin-port", "0", *words],
        cwd=folder,
        env=clean_environment(CALM | env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, process.communicate()[1]
        yield process, json.loads(first)
    finally:
        process.kill()
        process.communicate()


def end(process: Process, number: signal.Signals) -> tuple[str, str]:
    process.send_signal(number)
    return process.communicate(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ready_line_talk_and_exit_code(number: signal.Signals, code: int, folder: Path) -> None:
    with serving(folder) as (process, ready):
        out, err = end(process, number)
    assert process.returncode == code
    assert out == ""
    assert ready.keys() == {"format_version", "ready", "service", "admin", "pid"}
    assert ready["pid"] == process.pid
    lines = err.splitlines()
    assert lines[0] == f"shop serves on {ready['service']}"
    assert lines[1] == "  GET /api/orders/{order_id}  150 ms  order user?"
    assert lines[2].startswith(f"console {ready['admin']} (/docs /readyz /metrics /config) · ")
    assert lines[3:] == ["Ctrl-C drains, twice stops now", "drained; every request was answered"]


def test_start_up_is_at_most_twelve_lines(folder: Path) -> None:
    """Many views, names that do not resolve, chains that are too long, no protections."""
    views = "".join(
        f'\n\n@service.view("/v{n}/{{order_id}}", allow_overcommit="-")\nclass View{n}(View):\n'
        '    order: Order = strong(orders.get("/orders/{order_id}"))\n'
        '    user: User = strong(users.get("/users/{order.user_id}"))\n'
        '    third: User = strong(third.get("/users/{order.user_id}"))\n'
        for n in range(9)
    )
    third = 'third = Upstream("third", "http://third.invalid:1", timeout="100ms", bulkhead=4)\n\n'
    text = SERVICE.replace("127.0.0.1:9001", "orders.invalid:1").replace(
        "127.0.0.1:9002", "users.invalid:1"
    )
    text = text.replace("service = Service", third + "service = Service")
    (folder / "service.py").write_text(text + views)
    with serving(folder, "--protections", "off") as (process, _):
        _, err = end(process, signal.SIGTERM)
    lines = err.splitlines()
    started = lines[: lines.index("Ctrl-C drains, twice stops now") + 1]
    assert len(started) <= 12
    assert started[0].startswith("warning: protections are OFF")
    assert "  and 7 more; tailrace explain shows them" in started
    assert (
        "warning: view view0 may overrun its deadline, and 8 more; see tailrace explain" in started
    )
    assert max(map(len, started)) <= 84


def ask(ready: dict[str, Any], path: str = "/api/orders/o-1") -> socket.socket:
    """Sends a request and does not wait."""
    host, port = ready["service"].removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    return connection


def slow(folder: Path, upstream: socket.socket) -> None:
    """A service whose only request waits for `upstream`."""
    address = f"127.0.0.1:{upstream.getsockname()[1]}"
    text = SERVICE.replace("127.0.0.1:9001", address).replace('timeout="80ms"', 'timeout="40s"')
    (folder / "service.py").write_text(text.replace('deadline="150ms"', 'deadline="45s"'))


def test_the_first_signal_drains_with_a_countdown(folder: Path) -> None:
    """`draining 1 request, 15.0 s left`: the request in flight is answered (req 11.4)."""
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        slow(folder, upstream)
        with serving(folder, "--drain", "40s", "--access-log", "off") as (process, ready):
            client = ask(ready)
            call, _ = upstream.accept()
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            line = next(one for one in process.stderr if one.startswith("draining"))
            assert line.startswith("draining 1 request, ")
            assert line.endswith(" s left; again to stop now\n")
            call.sendall(
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            reply = client.recv(65_536)
            _, err = process.communicate(timeout=PATIENCE_SECONDS)
            client.close()
            call.close()
    assert reply.startswith(b"HTTP/1.1 404")
    assert process.returncode == 143
    assert err.endswith("drained; every request was answered\n")


def test_the_second_signal_stops_now(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        slow(folder, upstream)
        with serving(folder, "--drain", "40s", "--access-log", "off") as (process, ready):
            client = ask(ready)
            call, _ = upstream.accept()
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert any(one.startswith("draining 1 request") for one in process.stderr)
            began = time.monotonic()
            _, err = end(process, signal.SIGINT)
            spent = time.monotonic() - began
            client.close()
            call.close()
    assert process.returncode == 130
    assert err.endswith("stopped; 1 request was cut off\n")
    # Far below the 40 s that the drain would have taken.
    assert spent < 20


def test_the_access_log_is_json_on_stdout_unless_told_otherwise(folder: Path) -> None:
    with serving(folder) as (process, ready):
        client = ask(ready, "/nowhere")
        assert client.recv(65_536).startswith(b"HTTP/1.1 404")
        client.close()
        out, _ = end(process, signal.SIGTERM)
    (line,) = out.splitlines()
    assert json.loads(line)["status"] == 404


def test_a_log_file_and_off(folder: Path) -> None:
    for words, expected in ((("--access-log", "access.log"), 1), (("--access-log", "off"), 0)):
        (folder / "access.log").write_text("")
        with serving(folder, *words) as (process, ready):
            client = ask(ready, "/nowhere")
            assert client.recv(65_536).startswith(b"HTTP/1.1 404")
            client.close()
            out, _ = end(process, signal.SIGTERM)
        assert out == ""
        assert len((folder / "access.log").read_text().splitlines()) == expected


def test_ports_by_environment(folder: Path) -> None:
    """A variable is not a flag, but means the same."""
    threads = threading.active_count()
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [*TAILRACE, "serve", "service.py", "--admin-port", "0"],
            cwd=folder,
            env=clean_environment({"TAILRACE_LISTEN_PORT": str(port)}),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"error: 127.0.0.1:{port} is in use")
    assert threading.active_count() == threads
