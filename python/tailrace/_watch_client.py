"""Whether the client of a request is still there, asked while the request is served.

The failure prevented: work for nobody. ASGI servers do not stop an app whose client has left; they
only tell who asks, with `receive`. This asks, beside the app, and cancels the app's task.

The app still gets every message of its request, in order. What it reads of the body it reads
itself; asking ahead begins where the body has ended, so nothing is held here but one empty message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]


class ClientWatch:
    """Stands between the server's `receive` and the app."""

    __slots__ = ("_asking", "_before", "_came", "_last", "_over", "_receive", "_task", "gone")

    def __init__(
        self, receive: Callable[[], Awaitable[Message]], over: Callable[[], bool], headers: Any
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._receive = receive
        self._over = over
        self._task = task
        self._before = task.cancelling()
        self._asking: asyncio.Task[None] | None = None
        self._came: asyncio.Queue[Message] = asyncio.Queue()  # Two: an empty body, and the end.
        self._last: Message | None = None
        self.gone = False
        """The client left before its answer was whole."""
        if not any(_says_body(name, value) for name, value in headers):
            self._begin()

    async def receive(self) -> Message:
        """The next message for the app."""
        if self._asking is None:
            message = await self._receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                self._begin()
            return message
        if self._last is not None and self._came.empty():
            return self._last
        return await self._came.get()

    def absorbs(self) -> bool:
        """Whether a cancellation that arrived was of this watch and of nobody else."""
        return self.gone and self._task.uncancel() <= self._before

    def close(self) -> None:
        """The request is over."""
        if self._asking is not None:
            self._asking.cancel()

    def _begin(self) -> None:
        self._asking = asyncio.ensure_future(self._ask())

    async def _ask(self) -> None:
        while self._last is None:
            message = await self._receive()
            self._came.put_nowait(message)
            if message["type"] != "http.request":
                self._last = message
        if not self._over():  # A server says the same when the answer is whole.
            self.gone = True
            self._task.cancel()


def _says_body(name: bytes, value: bytes) -> bool:
    return name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
