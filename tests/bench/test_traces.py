"""What `bench/traces.py` says of numbers that are given here; nothing is measured (req 16.6)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCH))
    try:
        import traces

        yield traces
    finally:
        sys.path.remove(str(BENCH))


def rounds(**p99: list[float]) -> dict[str, list[dict[str, Any]]]:
    return {
        state: [{"p50_ms": 6.0, "p99_ms": one, "cpu_us_per_request": 90.0} for one in values]
        for state, values in p99.items()
    }


def test_an_outage_is_compared_within_its_round(bench: ModuleType) -> None:
    """Machines drift: the second round is slower for all, and that is nobody's outage."""
    drifting = rounds(off=[7, 9, 7], takes=[7, 9, 7], hangs=[7.4, 9.9, 7.2], gone=[7, 9, 8])
    table, met = bench.judge(drifting)
    assert met, table
    assert "met" in table.splitlines()[-1]


@pytest.mark.parametrize("state", ["hangs", "gone"])
def test_an_outage_that_slows_requests_fails(bench: ModuleType, state: str) -> None:
    measured = rounds(off=[7, 7], takes=[7, 7], hangs=[7, 7], gone=[7, 7])
    measured[state] = rounds(x=[8.2, 8.3])["x"]
    table, met = bench.judge(measured)
    assert not met
    assert "FAILED" in table


def test_what_tracing_itself_costs_is_shown_and_not_judged_here(bench: ModuleType) -> None:
    table, met = bench.judge(rounds(off=[3.0], takes=[7.0], hangs=[7.1], gone=[7.1]))
    assert met
    assert "-4.00" in table
