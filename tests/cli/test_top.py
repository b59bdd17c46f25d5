"""`top`: the console's figures on a terminal, in a pipe and as JSON."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from admin_port import sample, serving
from running import PATIENCE_SECONDS, TAILRACE, Run, clean_environment
from tailrace.cli import _figures
from tailrace.cli.top import page

from tests.hostile_text import NAMES

pytestmark = pytest.mark.e2e

TABLE = """\
shop · running · revision 3 · 4 in flight · last 1.0 s
refused: shed 3.0/s

VIEW      REQ/S  SUCCESS  DEGRADED      P50      P95      P99  DEADLINE
order       100      98%        5%  10.2 ms  49.2 ms  49.2 ms    150 ms

UPSTREAM  CALLS/S  EFFECTIVE  ATTEMPTS/S  ACTUAL      P50      P95      P99
orders        100        98%         100     95%  10.2 ms  49.2 ms  49.2 ms
recs          100        98%         101     95%  10.2 ms  49.2 ms  49.2 ms

UPSTREAM  IN FLIGHT    LIMIT   QUEUED      BREAKER  BUDGET LEFT  EXTRA/S
orders            3  64 → 23  1 of 64  1 of 3 open           92        0
recs              3  64 → 23  1 of 64  1 of 3 open           92      1.0

MISSING          PER S  KIND   REASON
order.recommend    5.0  weak  timeout
"""


def test_without_a_terminal_there_is_one_plain_table(run: Run) -> None:
    with serving(sample(1), sample(2)) as admin:
        ended = run("top", "--admin", admin, "--interval", "100ms")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == TABLE


def test_as_json_it_is_one_sample(run: Run) -> None:
    with serving(sample(1), sample(3)) as admin:
        ended = run("top", "--json", "--admin", admin, "--interval", "100ms")
    found = json.loads(ended.out)
    assert (ended.code, found["format_version"], found["type"]) == (0, 1, "sample")
    assert found["seconds"] == 2
    (view,) = found["views"]
    assert (view["rate"], view["success"], view["degraded"]) == (100, 0.98, 0.05)
    assert view["p99_ms"] == 49.151
    assert found["upstreams"][0]["limit_live"] == 23
    assert found["missing"][0]["reason"] == "timeout"


def test_a_service_that_started_anew_is_counted_from_its_start() -> None:
    now = sample(1, started_epoch_ms=1_790_000_051_000)
    found = _figures.figures(now, sample(9))
    assert (found["seconds"], found["views"][0]["rate"]) == (50, 2)


def test_percentiles_are_of_what_came_between() -> None:
    before = [(1_000, 100), (9_000, 1)]
    assert _figures.percentiles([(1_000, 100), (9_000, 101)], before)["p50_ms"] == 9
    assert _figures.percentiles(before, before) == {"p50_ms": None, "p95_ms": None, "p99_ms": None}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0, "0%"), (0.0004, "<0.1%"), (0.5, "50%"), (0.9996, ">99.9%"), (1, "100%")],
)
def test_a_share_that_is_not_all_is_never_shown_as_all(value: float | None, shown: str) -> None:
    assert _figures.share(value) == shown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--interval", "1"], 2, "error: --interval "),
        (["--interval", "10ms"], 2, "error: --interval is from 100ms to 60s, not 10ms"),
        (["--admin", "9900"], 2, "error: --admin is like 127.0.0.1:9900, not '9900'"),
        (["--admin", "127.0.0.1:1"], 3, "error: no admin port at 127.0.0.1:1 ("),
    ],
)
def test_what_cannot_be_done_is_one_line(words: list[str], code: int, said: str, run: Run) -> None:
    ended = run("top", *words)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(said)


def test_an_unknown_view_and_a_strange_port_are_told(run: Run) -> None:
    with serving(sample(1)) as admin:
        ended = run("top", "--admin", admin, "--view", "oder")
        assert (ended.code, ended.err) == (
            2,
            "error: there is no view `oder`\n  help: did you mean `order`?\n",
        )
    for answer, status in (({"hello": "world"}, 200), ({}, 404)):
        with serving(answer, status=status) as admin:
            ended = run("top", "--admin", admin)
            assert ended.code == 3
            assert "is not this version's admin port" in ended.err


# RELIABILITY S30, S21: a name moves no cursor and takes no more room than there is.
def test_hostile_names_are_text_of_eighty_columns() -> None:
    for name in NAMES:
        now, before = (renamed(sample(at), name) for at in (2, 1))
        for line in page(_figures.figures(now, before)):
            assert line.isprintable(), repr(line)
            assert len(line) <= 80, line
    print(f"S30: {len(NAMES)} hostile names in a terminal, 0 control characters")


def renamed(now: dict[str, Any], name: str) -> dict[str, Any]:
    now["views"][0]["name"] = name
    now["views"][0]["parts"][1]["name"] = name
    now["upstreams"][0]["name"] = name
    return {**now, "service": name}


@contextmanager
def on_a_terminal(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`top` in a pseudo terminal; gives the process and our side of the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*TAILRACE, "top", *words],
        cwd=folder,
        env=clean_environment({"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80", "LINES": "40"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def until(ours: int, text: bytes) -> bytes:
    """Reads until `text` has come."""
    end, seen = time.monotonic() + PATIENCE_SECONDS, b""
    while text not in seen:
        left = end - time.monotonic()
        assert left > 0, seen[-500:]
        assert select.select([ours], [], [], left)[0], seen[-500:]
        seen += os.read(ours, 65_536)
    return seen


def test_on_a_terminal_it_is_drawn_until_q(tmp_path: Path) -> None:
    samples = [sample(at) for at in range(1, 40)]
    with (
        serving(*samples) as admin,
        on_a_terminal(tmp_path, "--admin", admin, "--interval", "100ms") as (process, ours),
    ):
        seen = until(ours, b"order.recommend")
        assert b"\x1b[31" not in seen, "NO_COLOR"
        assert not termios.tcgetattr(ours)[3] & termios.ECHO
        os.write(ours, b"q")
        assert process.wait(PATIENCE_SECONDS) == 0
        assert termios.tcgetattr(ours)[3] & termios.ECHO


def test_ctrl_c_ends_it_and_a_silent_service_does_not(tmp_path: Path) -> None:
    with serving(sample(1), sample(2)) as admin:
        terminal = on_a_terminal(tmp_path, "--admin", admin, "--interval", "100ms")
        process, ours = terminal.__enter__()
        until(ours, b"order.recommend")
    try:
        until(ours, b"no admin port at")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130
        assert termios.tcgetattr(ours)[3] & termios.ECHO
    finally:
        terminal.__exit__(None, None, None)
