"""Threads for handlers that are plain functions: as many as declared, never more.

The failure prevented: a pool whose threads hold the end of the process because one of them is
stuck. These are daemons, and nothing waits for them.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any


class Threads:
    """`count` threads that run functions; what waits is bounded by the handler's limit."""

    def __init__(self, name: str, count: int) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._count = count
        self.unsettled = 0
        """Jobs whose result the loop does not know yet; written on its thread only."""
        for number in range(count):
            thread = threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def end(self) -> None:
        """Lets each thread end with what it does now; nothing is to be run after this."""
        for _ in range(self._count):
            self._jobs.put(None)

    def run(
        self, loop: asyncio.AbstractEventLoop, function: Callable[[], Any]
    ) -> asyncio.Future[Any]:
        """Runs `function` with the caller's context; the future belongs to `loop`."""
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def settle(result: Any, error: BaseException | None) -> None:
            self.unsettled -= 1
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def job() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = context.run(function)
            except StopIteration as stop:  # A future cannot hold one.
                error = RuntimeError(f"the handler raised {stop!r}")
            except BaseException as raised:
                error = raised
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:
                return  # The loop has ended, and with it everybody who waits.

        self.unsettled += 1
        self._jobs.put(job)
        return future
