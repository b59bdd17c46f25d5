"""The loop that waits in the plane is asyncio's own in everything else."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections import deque
from typing import Any

from tailrace._loop import plane_loop

PATIENCE_SECONDS = 30.0


class Waits:
    """A bridge that has nothing but what a test gives it."""

    def __init__(self) -> None:
        self.events: deque[list[tuple[Any, ...]]] = deque()
        self.turns = 0

    def turn(self, seconds: float, other: int, *_: Any) -> tuple[list[tuple[Any, ...]], bool]:
        self.turns += 1
        events = self.events.popleft() if self.events else []
        patience = PATIENCE_SECONDS if seconds < 0 else seconds
        ready, _, _ = select.select([other], [], [], 0 if events else patience)
        return events, bool(ready)


def test_what_is_delivered_runs_in_the_same_turn() -> None:
    bridge = Waits()
    bridge.events.extend([[], [("first",)], [("second",)]])
    loop, selector = plane_loop(bridge)  # type: ignore[arg-type]
    seen: list[tuple[str, int]] = []

    async def task(name: str) -> None:
        seen.append((name, bridge.turns))
        if name == "second":
            loop.stop()

    tasks = []

    def deliver(events: list[tuple[Any, ...]]) -> None:
        tasks.extend(loop.create_task(task(*event)) for event in events)

    selector.deliver = deliver
    loop.run_forever()
    assert seen == [("first", 2), ("second", 3)]
    selector.deliver = None
    loop.close()


def test_timers_threads_and_sockets_wake_it_as_ever() -> None:
    loop, selector = plane_loop(Waits())  # type: ignore[arg-type]
    selector.deliver = lambda events: None

    async def wakes() -> list[str]:
        found = []
        await asyncio.sleep(0.001)
        found.append("timer")
        event = asyncio.Event()
        threading.Thread(target=lambda: loop.call_soon_threadsafe(event.set)).start()
        await event.wait()
        found.append("thread")
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            reads = loop.create_task(loop.sock_recv(one, 1))
            await asyncio.sleep(0)
            other.sendall(b"x")
            found.append((await reads).decode())
        return found

    assert loop.run_until_complete(asyncio.wait_for(wakes(), PATIENCE_SECONDS)) == [
        "timer",
        "thread",
        "x",
    ]
    loop.close()


def test_an_error_of_what_is_delivered_to_does_not_end_the_loop() -> None:
    bridge = Waits()
    bridge.events.extend([[("bad",)], [("good",)]])
    loop, selector = plane_loop(bridge)  # type: ignore[arg-type]

    def deliver(events: list[tuple[Any, ...]]) -> None:
        if events == [("bad",)]:
            raise ValueError("bad")
        loop.stop()

    selector.deliver = deliver
    loop.run_forever()
    assert bridge.turns == 2
    loop.close()
