"""`why` against an admin port that says what a test wants."""

from __future__ import annotations

import copy
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from running import Run
from tailrace.cli import why

VIEW: Final[dict[str, Any]] = {
    "view": "order",
    "route": "/api/orders/{order_id}",
    "handler": False,
    "counted": 21_376,
    "slow": 214,
    "p99_ms": 38.9,
    "slow_mean_ms": 96.4,
    "parts": [
        {
            "part": "stock",
            "upstream": "inventory",
            "on_path": 178,
            "on_path_share": 0.83,
            "path_ms": 71.0,
            "saving_ms": 52.3,
            "steps": {"upstream": 69.0, "body": 2.0},
        },
        {
            "part": "a_part_with_a_name_longer_than_its_column",
            "upstream": "orders",
            "on_path": 208,
            "on_path_share": 0.97,
            "path_ms": 21.0,
            "saving_ms": 3.1,
            "steps": {"bulkhead_wait": 19.0, "upstream": 2.0},
        },
    ],
    "steps": {"admission": 1.2, "reply": 2.9, "engine": 0.3},
}
QUIET: Final[dict[str, Any]] = {
    **VIEW,
    "view": "quiet",
    "counted": 40,
    "slow": 0,
    "p99_ms": None,
    "slow_mean_ms": None,
    "parts": [],
    "steps": {},
}
PAGE: Final = """\
order  /api/orders/{order_id}
P99 38.9 ms; 214 of 21376 requests were slower, 96.4 ms on average

part                    on path  time there     saving  mostly
stock                       83%     71.0 ms    52.3 ms  upstream 97%
a_part_with_a_name_...      97%     21.0 ms     3.1 ms  bulkhead_wait 90%
no part's: admission 1.2 ms, reply 2.9 ms

time there: of a slow request, on its critical path; saving: had the part
taken no time, all else the same

what to do
- stock: `inventory` answers late: hedge it (`hedge=Hedge()`) if calls may be
  repeated, or give the part a shorter `timeout` with a default
- a_part_with_a_name_longer_than_its_column: calls of `orders` queue for a
  place: raise its `bulkhead` if it can take more, cache it, or let weak parts
  fail sooner; another part is close behind, so this one alone saves 3.1 ms of
  21.0 ms
"""

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts an admin port that answers with a body and a status; returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(body: bytes, status: int = 200) -> str:
        class Answer(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def answer(*views: dict[str, Any]) -> bytes:
    document = {"format_version": 1, "service": "shop", "window": 1024, "workers": 2}
    return json.dumps({**document, "views": list(views)}).encode()


def test_the_page(serve: Serve, run: Run) -> None:
    ended = run("why", "p99", "--admin", serve(answer(VIEW, QUIET)))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == PAGE
    assert max(map(len, ended.out.splitlines())) <= 80


def test_colour_only_where_it_is_asked_for(serve: Serve, run: Run) -> None:
    address = serve(answer(VIEW))
    assert "\x1b" not in run("why", "p99", "--admin", address).out
    shown = run("why", "p99", "--admin", address, "--color", "always").out
    assert shown.startswith("\x1b[1morder\x1b[0m")
    plain = shown.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert plain == PAGE


def test_json_is_what_the_port_said_with_advice(serve: Serve, run: Run) -> None:
    ended = run("why", "p99", "--json", env={"TAILRACE_ADMIN": serve(answer(VIEW, QUIET))})
    data = json.loads(ended.out)
    assert data["format_version"] == 1
    assert [view["view"] for view in data["views"]] == ["order", "quiet"]
    advice = data["views"][0].pop("advice")
    assert data["views"][0] == VIEW
    assert [line.partition(":")[0] for line in advice] == [part["part"] for part in VIEW["parts"]]


def test_few_requests_are_said_to_be_few(serve: Serve, run: Run) -> None:
    few = copy.deepcopy(VIEW)
    few["slow"] = 7
    assert "(only 7 slow requests" in run("why", "p99", "--admin", serve(answer(few))).out


def test_nothing_to_rank_is_no_success(serve: Serve, run: Run) -> None:
    ended = run("why", "p99", "--admin", serve(answer(QUIET)))
    assert (ended.code, ended.out) == (4, "")
    assert "40 compared" in ended.err and "128 requests" in ended.err


def test_what_the_port_refuses_is_told(serve: Serve, run: Run) -> None:
    refused = serve(b"view=two: no such view; there are: order\n", 400)
    ended = run("why", "p99", "--view", "two", "--admin", refused)
    assert ended.code == 2
    assert "no such view; there are: order" in ended.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("why", "p50"), 2, "nothing to say about 'p50'"),
        (("why", "p99", "--admin", "nowhere"), 2, "--admin is like 127.0.0.1:9900"),
        (("why", "p99", "--admin", "https://127.0.0.1:1"), 2, "--admin is like"),
        (("why", "p99", "--admin", "127.0.0.1:x"), 2, "--admin is like"),
    ],
)
def test_a_wrong_command_line(words: tuple[str, ...], code: int, said: str, run: Run) -> None:
    ended = run(*words)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err


def test_nobody_there(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Bound and not listening: nobody else can take it.
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("why", "p99", "--admin", address)
    assert ended.code == 3
    assert f"no admin port at {address}" in ended.err and "--admin" in ended.err


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"<html>", 200), (b"[]", 200), (b"{}", 200), (b'{"format_version": 1}', 404)],
)
def test_a_stranger_is_not_the_service(body: bytes, status: int, serve: Serve, run: Run) -> None:
    ended = run("why", "p99", "--admin", serve(body, status))
    assert ended.code == 3
    assert "not this version's admin port" in ended.err


def test_every_step_has_advice() -> None:
    """The steps are the plane's: one that is added there needs its line here."""
    from pathlib import Path

    source = Path(__file__).parents[2] / "crates/tailrace-plane/src/receipt/step.rs"
    text = source.read_text()
    codes = [line.split('"')[1] for line in text.splitlines() if '=> "' in line]
    assert len(codes) == 12
    assert sorted(why.ADVICE) == sorted(codes)
