"""What `bench/evidence.py` says of numbers that are given here; nothing is measured (req 12.1)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def evidence() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCH))
    try:
        import evidence

        yield evidence
    finally:
        sys.path.remove(str(BENCH))


def test_the_figure_is_the_median_of_the_ratios_within_a_round(evidence: ModuleType) -> None:
    # The machine was slow in the second round: for all three.
    cpu = {"muted": [100.0, 200.0, 100.0], "everything": [108.0, 216.0, 150.0]}
    table, above = evidence.judge(cpu)
    assert above["everything"] == pytest.approx(8.0)
    assert table.endswith("at most 10 % more: met")


def test_more_than_the_bar_is_said(evidence: ModuleType) -> None:
    cpu = {"muted": [100.0] * 3, "everything": [111.0] * 3}
    table, above = evidence.judge(cpu)
    assert above["everything"] == pytest.approx(11.0)
    assert table.endswith("NOT met")
