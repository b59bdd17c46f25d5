"""What the demo shows: the same figures in the live table, in lines and in the summary."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from tailrace.cli.demo.addresses import Addresses
from tailrace.cli.demo.live import BARS, LiveTable, bar
from tailrace.cli.demo.screens import Plain, duration
from tailrace.cli.demo.story import Act
from tailrace.cli.demo.summary import as_json, next_steps, text


def interval(**changes: Any) -> dict[str, Any]:
    line = {
        "type": "interval",
        "warmup": False,
        "rate": 199.6,
        "p50_ms": 7.71,
        "p95_ms": 12.96,
        "p99_ms": 103.4,
        "errors": 0,
        "degraded": 3,
        "in_flight": 2,
    }
    return {**line, **changes}


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(None, "-"), (0.26, "0.3 ms"), (99.94, "99.9 ms"), (100.2, "100 ms"), (3020.0, "3.02 s")],
)
def test_durations_have_three_figures_and_a_unit(milliseconds: float | None, shown: str) -> None:
    assert duration(milliseconds) == shown


def test_a_second_without_replies_is_the_worst_there_is() -> None:
    assert bar(None) == bar(3_000) == bar(60_000) == BARS[-1]
    assert bar(1) == bar(5) == BARS[0]
    heights = [BARS.index(bar(milliseconds)) for milliseconds in (5, 20, 80, 300, 1_000, 3_000)]
    assert heights == sorted(set(heights))


def test_plain_lines_keep_the_services_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Plain()
    screen.interval(1.0, "governed", interval())
    screen.interval(1.1, "naive", interval(rate=0, p50_ms=None, p95_ms=None, p99_ms=None))
    screen.event(2.0, "fault: recommend hangs", "fault")
    screen.interval(3.0, "governed", interval())
    screen.close()
    head = "  at              rate/s      p50      p95      p99  errors degraded waiting"
    assert capsys.readouterr().out.splitlines() == [
        head,
        "   1s naive            0        -        -        -       0        3       2",
        "   1s governed       200   7.7 ms  13.0 ms   103 ms       0        3       2",
        "   2s fault: recommend hangs",
        head,
        "   3s governed       200   7.7 ms  13.0 ms   103 ms       0        3       2",
    ]


@pytest.mark.parametrize("total", [31.0, None])
def test_the_live_table_fits_a_terminal(total: float | None) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, no_color=True)
    screen = LiveTable(total, console)
    for second in range(60):
        for side in ("naive", "governed"):
            screen.interval(second, side, interval(errors=99_999, in_flight=99_999))
    screen.event(60, "fault: recommend hangs", "fault")
    screen.close()
    plain = Console(file=io.StringIO(), width=80, record=True)
    plain.print(screen.picture())
    lines = plain.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2] == "naive          200   7.7 ms  13.0 ms   103 ms   99999        3   99999"
    assert any(line.startswith("governed p99   ") and bar(103.4) in line for line in lines)
    ending = "recommend hangs" if total else "Ctrl-C ends the demo"
    assert lines[-1].rstrip().endswith(ending)


def summary(**changes: Any) -> dict[str, Any]:
    line = {
        "scheduled": 2_000,
        "sent": 2_000,
        "done": 2_000,
        "errors": 0,
        "degraded": 0,
        "p50_ms": 7.0,
        "p95_ms": 12.0,
        "p99_ms": 17.5,
        "max_ms": 30.0,
        "generator_limited": False,
        "generator_cpu_share": 0.01,
    }
    return {**line, **changes}


def acts() -> list[Act]:
    naive = summary(errors=1_999, done=1, p99_ms=3020.0)
    governed = summary(errors=1, degraded=2_000, p99_ms=44.4)
    return [
        Act("before", 15, {"naive": summary(), "governed": summary()}),
        Act("during", 9, {"naive": naive, "governed": governed}),
        Act("after", 6, {"naive": summary(), "governed": summary(generator_limited=True)}),
    ]


def test_the_summary_never_rounds_some_to_none_or_all() -> None:
    lines = text(acts(), 200, "release").splitlines()
    assert lines[1:5] == [
        "                  before             recommend hangs            healed",
        "                p99    err   degr      p99    err   degr      p99    err   degr",
        "naive       17.5 ms     0%     0%   3.02 s >99.9%     0%  17.5 ms     0%     0%",
        "governed    17.5 ms     0%     0%  44.4 ms  <0.1%   100%  17.5 ms     0%     0%",
    ]
    assert max(map(len, lines)) <= 80


def test_figures_of_a_busy_generator_are_not_to_be_quoted() -> None:
    said = " ".join(text(acts(), 200, "release").split())
    assert "12000 scheduled, 12000 sent, 10001 answered" in said
    assert "the generator itself was the limit at times" in said
    assert "debug build" not in said
    assert "debug build" in text(acts(), 200, "debug")
    data = as_json(acts())
    assert data["acts"]["after"]["governed"]["generator_limited"] is True
    assert data["acts"]["during"]["naive"]["error_share"] == 0.9995


def test_next_steps_name_the_lab_only_where_it_is_not_the_usual_one() -> None:
    usual = Addresses(8080, 9900, 8090, 9101, 9109)
    other = Addresses(8080, 9900, 8090, 20_000, 20_009)
    assert "--admin" not in next_steps(usual, held=True)
    assert "tailrace fault recommend --hang --admin 127.0.0.1:20009" in next_steps(other, held=True)
    assert "--admin" not in next_steps(other, held=False)
    for steps in (next_steps(usual, held=True), next_steps(other, held=False)):
        assert max(map(len, steps.splitlines())) <= 80
