"""A look inside while a worker hangs, or Python does: an answer comes, and says who is silent.

Prevents an admin port that hangs with what it is asked about (req 12.2). A worker is stopped as a
debugger stops one thread; the interpreter is held by a call that keeps its lock. Nothing is
measured against a clock: an answer that never came would end the client's patience.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from looks import asking, profile, told, until
from python_side import Upstream, get, serving

from examples.orders.processes import Service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="threads are stopped by Linux's ptrace"),
]

CODE: Final = """
import ctypes
import os

@service.get("/plain/{id}")
async def plain(id: str) -> Thing:
    return Thing(id=id)

@service.get("/locked/{id}")
async def locked(id: str) -> Thing:
    gate = os.open(os.environ["GATE"], os.O_RDONLY)
    held = ctypes.create_string_buffer(1)
    ctypes.PyDLL(None).read(gate, held, 1)  # Keeps the interpreter's lock.
    return Thing(id=id)
"""
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
ALL_THREADS: Final = 0x4000_0000


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gate") / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, gate: Path) -> Iterator[Service]:
    upstream = Upstream()
    with serving(tmp_path_factory.mktemp("stuck"), upstream, CODE, GATE=str(gate)) as running:
        yield running
    upstream.close()


def ptrace(request: int, thread: int) -> None:
    """What Linux refuses, it refuses to every debugger here: then the test says so."""
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if call(request, thread, None, None) == -1:
        error = ctypes.get_errno()
        if request == SEIZE:
            pytest.skip(f"no thread may be stopped here: ptrace says {os.strerror(error)}")
        raise OSError(error, os.strerror(error))


@contextmanager
def stopped(service: Service, name: str) -> Iterator[int]:
    """One thread of the service stands still until the end of the block; its number."""
    tasks = Path(f"/proc/{service.program.process.pid}/task")
    names = {(task / "comm").read_text().strip(): int(task.name) for task in tasks.iterdir()}
    thread = names[name]
    ptrace(SEIZE, thread)
    ptrace(INTERRUPT, thread)
    os.waitpid(thread, ALL_THREADS)
    try:
        yield thread
    finally:
        ptrace(DETACH, thread)


def test_a_worker_that_hangs_is_named_with_what_the_system_says(service: Service) -> None:
    with stopped(service, "tailrace-0") as thread:
        silent, other = told(service, "tasks")["workers"]
        text = profile(service, "tasks").stdout
        heap = told(service, "heap")
        shown = profile(service, "heap").stdout
    assert silent["answered"] is False
    assert silent["why"] == "its thread did not come to its next turn in time"
    assert silent["system"]["thread"] == thread
    assert silent["system"]["state"].startswith("t"), "stopped by a debugger"
    assert (other["worker"], other["answered"]) == (1, True)
    assert "worker 0: did not answer: its thread did not come to its next turn" in text
    assert heap["workers_without_answer"] == ["worker 0"]
    assert "without an answer: worker 0" in shown


def test_a_worker_that_hangs_holds_up_no_profile_that_takes_time(service: Service) -> None:
    with stopped(service, "tailrace-1"):
        native = told(service, "cpu", "--seconds", "1")["native"]
        trace = told(service, "trace", "--seconds", "1")
    samples = {one["name"]: one["samples"] for one in native["threads"]}
    assert samples["worker 1"] == 0, "who stands still uses no processor"
    assert "worker 0" in samples
    assert trace["otherData"]["requests"] == 0
    # It goes on where it was, and answers again.
    assert all(one["answered"] for one in told(service, "tasks")["workers"])
    assert get(service.port, "/plain/7").status == 200


def python_of(service: Service, *words: str) -> Callable[[], dict[str, Any] | None]:
    """A profile in which Python was silent; it may still have been on its way there."""

    def look() -> dict[str, Any] | None:
        found = told(service, *words)
        return found if found["python"]["answered"] is False else None

    return look


def test_python_that_does_not_let_go_is_said_to_and_the_rest_is_told(
    service: Service, gate: Path
) -> None:
    with asking(service, "/locked/7", "locked-1"), gate.open("wb") as held:
        dump = until(python_of(service, "tasks"))
        text = profile(service, "tasks").stdout
        cpu = until(python_of(service, "cpu", "--seconds", "1"))
        traced = until(python_of(service, "heap", "--seconds", "1", "--python", "3"))
        assert [one["answered"] for one in dump["workers"]] == [True, True]
        held.write(b"1")
    for found in (dump, cpu, traced):
        assert "holds its interpreter lock" in found["python"]["why"]
    assert "python: Python did not answer within 2 s" in text
    assert cpu["native"]["threads"], "our own threads are sampled all the same"
    # What was asked for meanwhile is not begun now that nobody waits for it.
    assert told(service, "heap")["python"]["traced"] is False
    again = told(service, "heap", "--seconds", "1", "--python", "3")["python"]
    assert again["traced"] is True
