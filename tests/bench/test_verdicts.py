"""The benchmark's own judgement: verdicts, recovery and tables from numbers that are given here.

A figure that is judged on the wrong side of its bar, or a recovery that overlooks a stall, would be
published with authority. Nothing is measured in these tests.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    """The runner, imported as it is run: with its own folder first."""
    sys.path.insert(0, str(BENCH))
    try:
        import tail

        yield tail
    finally:
        sys.path.remove(str(BENCH))


@pytest.mark.parametrize(
    ("value", "at_most", "met", "said"),
    [
        (40.0, True, True, "met: 40 ms, at most 40 ms"),
        (40.1, True, False, "NOT met: 40.1 ms, at most 40 ms"),
        (40.0, False, True, "met: 40 ms, at least 40 ms"),
        (39.9, False, False, "NOT met: 39.9 ms, at least 40 ms"),
        (None, True, None, "not measured (at most 40 ms)"),
    ],
)
def test_a_figure_is_judged_by_the_value_of_tailrace(
    bench: ModuleType, value: float | None, at_most: bool, met: bool | None, said: str
) -> None:
    from harness.tail.figures import Figure

    figure = Figure("P99", "ms", {"tailrace": value, "lura": 1000.0}, 40, at_most)
    assert (figure.met, figure.verdict) == (met, said)


def test_without_a_bar_there_is_no_verdict(bench: ModuleType) -> None:
    from harness.tail.figures import Figure

    assert Figure("share", "%", {"tailrace": 1.0}).met is None


def line(at_s: float, good: int, done: int = 100, scheduled: int = 100) -> dict[str, Any]:
    lost = {"failed": 0, "timed_out": 0, "unsent": 0}
    return {"at_s": at_s, "good": good, "done": done, "scheduled": scheduled, **lost}


def after(*good: int) -> list[dict[str, Any]]:
    return [line(10 + 0.25 * index, one) for index, one in enumerate(good, start=1)]


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [
        (after(*[100] * 12), 0.0),
        (after(*[0] * 3, *[100] * 12), 0.75),
        (after(*[100] * 7, 0, *[100] * 8), 2.0),  # not yet two healthy seconds
        (after(*[100] * 8, 0, *[100] * 8), 0.0),  # a later stall is not part of the recovery
        (after(*[0] * 20), 5.0),  # as long as it was watched
        ([line(10.25, 0, done=0), *after(*[100] * 12)[1:]], 0.25),  # nothing ended at all
        ([line(9.75, 0), line(10.0, 0), *after(*[100] * 12)], 0.0),  # the overload itself
    ],
)
def test_recovery_is_the_time_to_two_healthy_seconds(
    bench: ModuleType, intervals: list[dict[str, Any]], seconds: float
) -> None:
    from harness.tail.overload import recovery_s

    assert recovery_s(intervals, 10.0) == seconds


def test_statuses_are_merged_to_the_slowest(bench: ModuleType) -> None:
    from harness.tail.stage import status

    one = {"count": 2, "p50_ms": 1.0, "p99_ms": 9.0, "max_ms": 9.5}
    other = {"count": 3, "p50_ms": 2.0, "p99_ms": 3.0, "max_ms": 3.5}
    summary = {"replies": {"429": one, "503": other, "200": one}}
    merged = {"count": 5, "p50_ms": 2.0, "p99_ms": 9.0, "max_ms": 9.5}
    assert status(summary, 429, 503) == merged
    assert status(summary, 504) is None


def test_the_table_marks_what_was_not_met_and_what_is_invalid(bench: ModuleType) -> None:
    from harness.tail.figures import Figure, Story
    from harness.tail.table import table

    met = Figure("P99", "ms", {"tailrace": 12.3, "lura": 129.4}, 40)
    unmet = Figure("recovery", "s", {"tailrace": 3.0, "lura": None}, 2)
    machine = {"command": ["x"], "git_sha": "abc", "cpu": "one", "kernel": "6"}
    text = table(
        {
            "environment": machine,
            "measured_at": "2026-01-31T00:00:00",
            "peers": {"tailrace": {}, "lura": {}},
            "scenarios": {
                "slow": Story("slow", "slow calls", [met]).to_json(),
                "load": Story("load", "overload", [unmet], faults=["limited"]).to_json(),
            },
        }
    )
    assert "| slow | P99 | 12.3 ms | 129 ms | <= 40 ms | met |" in text
    assert "| load (INVALID) | recovery | 3 s | - | <= 2 s | **not met** |" in text


def test_every_published_result_can_be_rendered(bench: ModuleType) -> None:
    import render

    found = sorted((BENCH / "results").glob("*.json"))
    kinds = set()
    for path in found:
        result = json.loads(path.read_text())
        kind = render.kind_of(result)
        kinds.add(kind)
        block = render.BLOCKS[kind](result)
        assert f"on {result['measured_at'][:10]}, revision `" in block.splitlines()[0], path.name
        assert re.search(r"\bmet\b|\*\*not met|\d\.\d\d", block), path.name
    assert kinds == set(render.BLOCKS), "each kind has a published result"


def test_an_unknown_scenario_is_named(
    bench: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        bench.parse(["--only", "overlaod"])
    assert "no 'overlaod'; there are slow-2-percent, one-hangs" in capsys.readouterr().err
    assert bench.parse(["--only", "all-errors,overload"]).only == ("overload", "all-errors")
