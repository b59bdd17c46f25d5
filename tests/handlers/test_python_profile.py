"""Python's side of a profile, without a service around it (req 12.2)."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from tailrace import _profile
from tailrace._profile import Profiles

PATIENCE_SECONDS = 60


def ask(profiles: Profiles, do: str, **more: Any) -> dict[str, Any]:
    status, told = profiles.wish(json.dumps({"do": do, **more}).encode())
    assert status == 200 and told["answered"] is True
    # It crosses as JSON.
    crossed: dict[str, Any] = json.loads(json.dumps(told))
    return crossed


class Loop:
    """A loop in a thread, as a host has one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="a-loop", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    started = Loop()
    yield started
    started.end()


async def outer(begun: threading.Event, until: asyncio.Event) -> None:
    await inner(begun, until)


async def inner(begun: threading.Event, until: asyncio.Event) -> None:
    begun.set()
    await until.wait()


def test_a_task_is_told_to_what_it_awaits(loop: Loop) -> None:
    begun, until = threading.Event(), asyncio.Event()
    running = asyncio.run_coroutine_threadsafe(outer(begun, until), loop.loop)
    assert begun.wait(PATIENCE_SECONDS)
    told = ask(Profiles(loop), "tasks")  # type: ignore[arg-type]
    (task,) = told["tasks"]
    names = [frame.split(" ")[0] for frame in task["stack"]]
    assert names == ["outer", "inner", "Event.wait"]
    assert task["awaits"] in ("FutureIter", "Future", "_asyncio.FutureIter")
    assert all("handlers/test_python_profile.py:" in frame for frame in task["stack"][:2])
    threads = {one["name"]: one["stack"] for one in told["threads"]}
    assert threads["a-loop"]
    loop.loop.call_soon_threadsafe(until.set)
    running.result(PATIENCE_SECONDS)


def test_tasks_are_bounded_and_the_rest_is_counted(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_profile, "TASKS_MAX", 2)
    until = asyncio.Event()
    begun = [threading.Event() for _ in range(5)]
    running = [asyncio.run_coroutine_threadsafe(outer(one, until), loop.loop) for one in begun]
    assert all(one.wait(PATIENCE_SECONDS) for one in begun)
    told = ask(Profiles(loop), "tasks")  # type: ignore[arg-type]
    assert (len(told["tasks"]), told["tasks_left_out"]) == (2, 3)
    loop.loop.call_soon_threadsafe(until.set)
    for one in running:
        one.result(PATIENCE_SECONDS)


def spin(over: threading.Event) -> None:
    while not over.is_set():
        sum(range(1_000))


@pytest.mark.skipif(sys.platform != "linux", reason="the system says no thread's time elsewhere")
def test_processor_time_goes_to_the_thread_that_took_it() -> None:
    over = threading.Event()
    busy = threading.Thread(target=spin, args=(over,), name="busy-one", daemon=True)
    idle = threading.Thread(target=over.wait, name="idle-one", daemon=True)
    busy.start()
    idle.start()
    profiles = Profiles()
    ask(profiles, "cpu_begin", seconds=PATIENCE_SECONDS, hz=100)
    sampler = profiles._sampler
    assert sampler is not None
    while sampler._samples < 5:
        threading.Event().wait(0.01)
    told = ask(profiles, "cpu_end")
    over.set()
    busy.join()
    idle.join()
    names = {one["frames"][0] for one in told["stacks"]}
    assert "busy-one" in names and "tailrace-profile" not in names
    heaviest = next(one for one in told["stacks"] if one["frames"][0] == "busy-one")
    assert any(frame.startswith("spin (") for frame in heaviest["frames"])
    assert told["cost_ms"] > 0 and told["samples"] >= 5
    assert ask(profiles, "cpu_end") == {"answered": True, "version": told["version"]}


def test_allocations_are_traced_only_while_asked_for() -> None:
    profiles = Profiles()
    assert not tracemalloc.is_tracing()
    ask(profiles, "heap_begin", seconds=PATIENCE_SECONDS)
    held = [bytearray(10_000) for _ in range(100)]
    told = ask(profiles, "heap_end", places=3)
    assert told["traced"] and told["traced_bytes"] >= 1_000_000
    assert told["places"][0]["bytes"] >= 1_000_000 and told["places"][0]["count"] >= 100
    assert "test_python_profile.py:" in told["places"][0]["place"]
    assert not tracemalloc.is_tracing()
    del held
    ask(profiles, "heap_begin", seconds=PATIENCE_SECONDS)
    ask(profiles, "heap_cancel")
    assert not tracemalloc.is_tracing(), "whoever leaves ends it"


def test_somebody_elses_tracing_goes_on() -> None:
    tracemalloc.start()
    try:
        profiles = Profiles()
        ask(profiles, "heap_begin", seconds=PATIENCE_SECONDS)
        assert ask(profiles, "heap_end", places=1)["traced"]
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_a_recording_that_nobody_ends_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_profile, "SLACK_SECONDS", 0.01)
    tracer = _profile.Tracer(0.01)
    tracer._guard.join(PATIENCE_SECONDS)
    assert not tracemalloc.is_tracing()
    assert tracer.end(3)["why"] == "somebody else has ended the tracing"
    sampler = _profile.Sampler(0.01, 100)
    sampler._thread.join(PATIENCE_SECONDS)
    assert not sampler._thread.is_alive()
