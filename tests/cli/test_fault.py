"""`fault` against a real lab in a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from running import PATIENCE_SECONDS, Run, clean_environment
from tailrace import _lab

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def lab() -> Iterator[str]:
    """The admin address of a lab."""
    process = subprocess.Popen(
        _lab.command("upstreams", "--port-base", "0", "--admin-port", "0"),
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["admin"]
    process.terminate()
    process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def healed(lab: str, run: Run) -> None:
    assert run("fault", "--off", "--admin", lab).code == 0


def state(run: Run, lab: str, name: str) -> dict[str, object]:
    rows = json.loads(run("fault", "--list", "--json", "--admin", lab).out)["upstreams"]
    return next(row for row in rows if row["name"] == name)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--hang"], {"kind": "hang", "probability": 1.0}),
        (["--reset"], {"kind": "reset", "probability": 1.0}),
        (["--errors", "0.5"], {"kind": "errors", "status": 500, "probability": 0.5}),
        (
            ["--errors", "1", "--status", "503"],
            {"kind": "errors", "status": 503, "probability": 1.0},
        ),
        (["--jitter", "0.2s"], {"kind": "jitter", "adds_ms": 200.0, "probability": 0.02}),
        (["--body", "wrong-type", "--share", "0.1"], {"kind": "wrong_type", "probability": 0.1}),
        (
            ["--slow-body"],
            {"kind": "slow_body", "chunk_bytes": 16, "every_ms": 20, "probability": 1.0},
        ),
    ],
)
def test_what_was_asked_for_is_what_the_lab_has(
    words: list[str], fault: dict[str, object], run: Run, lab: str
) -> None:
    ended = run("fault", "users", *words, "--admin", lab)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[1].startswith(f"users     {fault['kind']}")
    assert state(run, lab, "users")["fault"] == fault
    assert state(run, lab, "orders")["fault"] is None
    run("fault", "users", "--off", "--admin", lab)
    assert state(run, lab, "users")["fault"] is None


def test_latency_goes_with_a_fault_and_off_takes_both_away(run: Run, lab: str) -> None:
    run("fault", "users", "--errors", "0.2", "--latency", "30ms", env={"TAILRACE_LAB_ADMIN": lab})
    assert state(run, lab, "users")["latency"] == {"constant_ms": 30.0}
    out = run("fault", "--off", "--admin", lab).out
    assert out == (
        "upstream   fault  latency        requests  in flight\n"
        "orders     -      constant 5 ms         0          0\n"
        "users      -      constant 5 ms         0          0\n"
        "inventory  -      constant 5 ms         0          0\n"
        "coupons    -      constant 5 ms         0          0\n"
        "recommend  -      constant 5 ms         0          0\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["recomend", "--hang"],
            "error: there is no upstream `recomend`\n  help: did you mean `recommend`?\n",
        ),
        (
            ["--hang"],
            "error: which upstream?\n"
            "  help: there are: orders, users, inventory, coupons, recommend\n",
        ),
        (
            ["users"],
            "error: what should happen?\n  help: for example: tailrace fault recommend --hang\n",
        ),
        (
            ["users", "--errors", "0.1", "--status", "200"],
            "error: the lab refused it: `errors.status` is a number from 400 to 599, not 200\n",
        ),
    ],
)
def test_mistakes_that_only_the_lab_can_know(
    words: list[str], said: str, run: Run, lab: str
) -> None:
    ended = run("fault", *words, "--admin", lab)
    assert (ended.code, ended.out, ended.err) == (2, "", said)
