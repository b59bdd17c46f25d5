"""`tailrace demo` from start to end, and ended by force: nothing is left behind.

The failure prevented: a demo that works only on the machine, in the terminal and with the ports of
whoever wrote it. Ports are the system's choice here; what is asserted is what holds at any speed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PATIENCE_SECONDS = 120
FREE = [
    word
    for name in ("port", "admin-port", "naive-port", "lab-port", "lab-admin-port")
    for word in (f"--{name}", "0")
]
DEMO = [sys.executable, "-m", "tailrace.cli", "demo", "--seconds", "6", "--rate", "50", *FREE]

Process = subprocess.Popen[str]


def environment(folder: Path) -> dict[str, str]:
    """The mark is inherited by every process the demo starts, and by no other."""
    kept = {name: one for name, one in os.environ.items() if not name.startswith("TAILRACE_")}
    return {**kept, "DEMO_TEST_MARK": str(folder), "TMPDIR": str(folder)}


def children(folder: Path) -> list[str]:
    """Command lines of the living processes that carry the mark."""
    mark = f"DEMO_TEST_MARK={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            carries = mark in (process / "environ").read_bytes().split(b"\0")
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if carries and line:
            found.append(f"{process.name} {line}")
    return found


def assert_nothing_left(folder: Path) -> None:
    """The kernel needs a moment to end what it was told to."""
    end = time.monotonic() + PATIENCE_SECONDS
    while children(folder) and time.monotonic() < end:
        os.sched_yield()
    assert children(folder) == []


@contextmanager
def demo(folder: Path, *words: str) -> Iterator[Process]:
    process = subprocess.Popen(
        [*DEMO, *words],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: Process, text: str) -> list[str]:
    """Reads lines up to the one that contains `text`."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return seen
    raise AssertionError(f"{text!r} never came:\n{''.join(seen)}\n{process.communicate()[1]}")


def test_without_a_terminal_it_tells_the_story_in_lines(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert err == ""
    assert "\x1b" not in out
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    address = r"127\.0\.0\.1:\d+"
    assert re.fullmatch(rf"console http://{address}/#token=[0-9a-f]{{32}}", lines[0])
    assert re.fullmatch(rf"governed http://{address} · naive {address} · lab {address}", lines[1])
    first = next(line for line in lines if line.startswith("first aggregated reply"))
    assert first.endswith(" s after start: 5 parts")
    assert "s fault: recommend hangs" in out
    assert re.search(r"Tailrace-Degraded: .*recommend;reason=", out)
    assert "s healed: recommend answers again" in out
    figures = r"(\s+[\d.]+ m?s\s+[<>]?[\d.]+%\s+[<>]?[\d.]+%){3}"
    for side in ("naive", "governed"):
        assert any(re.fullmatch(side + figures, line) for line in lines), side
    assert "Measured: open loop, 50 requests/s to each service with Poisson" in out
    assert "  tailrace fault recommend --hang" in out
    assert_nothing_left(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_figures_add_up_and_show_the_difference(tmp_path: Path) -> None:
    with demo(tmp_path, "--json") as process:
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    rows: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert {row["format_version"] for row in rows} == {1}
    assert rows[0]["type"] == "demo"
    assert rows[0]["console"].startswith(f"{rows[0]['admin']}/#token=")
    assert rows[1]["type"] == "first_reply"
    assert rows[-1]["type"] == "summary"
    kinds = [row["type"] for row in rows]
    assert kinds.index("fault") < kinds.index("healed")
    assert {row["service"] for row in rows if row["type"] == "interval"} == {"naive", "governed"}
    acts = rows[-1]["acts"]
    assert list(acts) == ["before", "during", "after"]
    for act, seconds in (("before", 3), ("during", 1.8), ("after", 1.2)):
        for side in ("naive", "governed"):
            one = acts[act][side]
            assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"] <= one["max_ms"]
            assert one["sent"] <= one["scheduled"]
            assert one["done"] <= one["sent"]
            # Poisson arrivals: within five standard deviations.
            expected = 50 * seconds
            assert abs(one["scheduled"] - expected) < 5 * expected**0.5
    naive, governed = acts["during"]["naive"], acts["during"]["governed"]
    # The hang lasts 1.8 s: whoever waits for it waits long, whoever does not never does.
    assert naive["p95_ms"] > 1_000
    assert governed["p95_ms"] < naive["p95_ms"] / 2
    # Every reply says that the part is missing.
    assert governed["done"] - governed["errors"] <= governed["degraded"] <= governed["done"]
    assert governed["degraded"] > 0
    assert_nothing_left(tmp_path)


def test_held_it_answers_and_takes_faults_until_interrupted(tmp_path: Path) -> None:
    with demo(tmp_path, "--hold") as process:
        addresses = until(process, "It keeps running.")[1]
        lab = addresses.split()[-1]
        command = until(process, "tailrace fault recommend --hang")[-1]
        assert f"--admin {lab}" in command
        words = command.split("  ")[1].split()[1:]
        fault = subprocess.run(
            [sys.executable, "-m", "tailrace.cli", *words],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        assert fault.stdout.splitlines()[1].startswith("recommend  hang ")
        host, port = addresses.split()[1].removeprefix("http://").split(":")
        # On a busy machine a strong part may be late too, and then there is no reply to degrade.
        end = time.monotonic() + PATIENCE_SECONDS
        head = ""
        while "tailrace-degraded: recommend;reason=" not in head:
            assert time.monotonic() < end, head
            with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as client:
                client.sendall(b"GET /api/orders/o-7 HTTP/1.1\r\nhost: demo\r\n\r\n")
                head = client.recv(65_536).decode().lower()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert err == "stopped; everything the demo started has ended\n"
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
@pytest.mark.parametrize("moment", ["governed ", "load: ", "fault: "])
def test_ended_at_any_moment_nothing_is_left(
    number: signal.Signals, code: int, moment: str, tmp_path: Path
) -> None:
    with demo(tmp_path) as process:
        until(process, moment)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == code
        assert_nothing_left(tmp_path)


@pytest.mark.parametrize("victim", ["_lab upstreams", "_lab naive", "cli serve", "_lab load"])
def test_a_child_that_dies_ends_the_demo_with_its_name(victim: str, tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        until(process, "governed ")
        until(process, "naive  ")
        pid = next(int(one.split()[0]) for one in children(tmp_path) if victim in one)
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3
    assert re.search(r"error: [a-z-]+ ended by itself with signal 9", err)
    assert_nothing_left(tmp_path)


def test_a_usual_port_that_is_taken_is_replaced_and_said_so(tmp_path: Path) -> None:
    """8080 may be free or held by anybody; the test holds it when nobody does."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with holder:
        try:
            holder.bind(("127.0.0.1", 8080))
            holder.listen(1)
        except OSError:
            pass  # Somebody else holds it: as good.
        at = DEMO.index("--port")
        words = DEMO[:at] + DEMO[at + 2 :]
        process = subprocess.Popen(
            words,
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            seen = "".join(until(process, "first aggregated reply"))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_SECONDS)
    assert "http://127.0.0.1:8080" not in seen.splitlines()[1]
    assert re.search(r"note: port 8080 is in use( by pid \d+ \(.+\))?; taking \d+ instead", seen)
    assert_nothing_left(tmp_path)


def test_a_port_that_was_named_is_not_replaced(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "tailrace.cli", "demo", "--naive-port", str(port)],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith(f"error: 127.0.0.1:{port} is in use by pid {os.getpid()} (")
    assert "; try --naive-port " in ended.stderr
