"""The demo's lab on the plane's own port: what is shown, and which wishes are carried out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tailrace.cli import _lab_board
from tailrace.cli._exit import Exit, Stop
from tailrace.cli._lab_board import POINTS_MAX, Board, LabBoard


class Lab:
    """A lab with two upstreams, one of which takes no change."""

    def __init__(self, address: str) -> None:
        assert address == "127.0.0.1:9109"

    faults: ClassVar[dict[str, Any]] = {}

    def state(self) -> list[dict[str, Any]]:
        return [{"name": name, "fault": self.faults.get(name)} for name in ("orders", "users")]

    def change(self, name: str, change: dict[str, Any]) -> None:
        if name == "users":
            raise Stop(Exit.USAGE, "error: the lab refused it: unknown fault kind `hnag`")
        self.faults[name] = change["fault"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board.json"


@pytest.fixture
def board(path: Path) -> Board:
    return Board(path, "127.0.0.1:9109", client_ms=3_000)


@pytest.fixture
def shown() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def served(
    board: Board, path: Path, shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[LabBoard]:
    monkeypatch.setattr(_lab_board, "LabAdmin", Lab)
    monkeypatch.setattr(Lab, "faults", {})
    made = LabBoard(path, lambda state: shown.append(json.loads(state)), deadline_ms=150)
    yield made
    made.end()


def interval(**changes: Any) -> dict[str, Any]:
    line = {"p99_ms": 20.0, "rate": 99.5, "done": 100, "errors": 0, "degraded": 5, "in_flight": 2}
    unanswered = {"failed": 0, "timed_out": 0, "unsent": 0}
    return {**line, **unanswered, **changes}


def test_what_the_load_measured_is_shown_with_the_lab(
    board: Board, served: LabBoard, shown: list[dict[str, Any]]
) -> None:
    board.point("governed", interval())
    board.point("naive", interval(p99_ms=None, done=0, rate=0))
    board.point("naive", interval(p99_ms=None, done=0, rate=0, in_flight=0))
    state = served.state()
    assert shown[-1] == state
    assert state["format_version"] == 1
    assert state["deadline_ms"] == 150
    assert [one["name"] for one in state["upstreams"]] == ["orders", "users"]
    (governed,) = state["load"]["governed"]
    assert (governed["p99_ms"], governed["degraded"], governed["errors"]) == (20, 0.05, 0)
    assert governed["at_s"] <= state["load"]["now_s"]
    # Without a reply while clients wait: as bad as their patience. Without clients: nothing.
    assert [one["p99_ms"] for one in state["load"]["naive"]] == [3_000, None]


def test_shares_are_of_all_that_ended(board: Board, served: LabBoard) -> None:
    board.point("naive", interval(done=60, errors=50, timed_out=40))
    board.point("naive", interval(done=0, errors=90, degraded=0, timed_out=90))
    assert [one["errors"] for one in served.state()["load"]["naive"]] == [0.5, 1]


def test_the_board_is_bounded(board: Board, served: LabBoard) -> None:
    for _ in range(POINTS_MAX + 9):
        board.point("naive", interval())
    assert len(served.state()["load"]["naive"]) == POINTS_MAX


def test_a_wish_for_a_fault_is_answered_with_the_labs_own_word(served: LabBoard) -> None:
    wish = {"upstream": "orders", "fault": {"kind": "hang"}}
    status, answer = served.wish(json.dumps(wish).encode())
    assert (status, answer["upstreams"][0]["fault"]) == (200, {"kind": "hang"})
    status, answer = served.wish(b'{"upstream": "orders", "fault": null}')
    assert (status, answer["upstreams"][0]["fault"]) == (200, None)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "the body is not JSON: "),
        (b"[]", 400, "a wish is "),
        (b'{"upstream": "orders"}', 400, "a wish is "),
        (b'{"upstream": "orders", "fault": null, "latency": null}', 400, "a wish is "),
        (b'{"upstream": "../stop", "fault": null}', 409, "there is no such upstream"),
        (b'{"upstream": "users", "fault": {"kind": "hnag"}}', 400, "the lab refused it: unknown"),
        (b'{"unprotected": false}', 409, "the measured run needs both"),
    ],
)
def test_a_wish_that_cannot_be_is_told_why(
    body: bytes, status: int, said: str, served: LabBoard
) -> None:
    found, answer = served.wish(body)
    assert found == status
    assert answer["error"].startswith(said)


def test_the_switch_is_told_to_the_demo_where_it_can_be_turned(
    board: Board, served: LabBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    board.unprotected(on=True, can=True)
    status, answer = served.wish(b'{"unprotected": false}')
    assert (status, answer["unprotected"]) == (200, {"on": True, "can": True})
    told = json.loads(capsys.readouterr().out)
    assert (told["type"], told["unprotected"]) == ("wish", False)
