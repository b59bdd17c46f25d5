"""The HTTP of a fake upstream: one thread, one event loop, standard library only.

The failure prevented: a fake that keeps a thread per hanging request, or a test run that does not
end because one hangs. Whatever a connection waits for ends when the fake stops. Limits: HTTP/1.1
with `Content-Length` or chunked bodies up to 8 MiB, heads up to 64 KiB, 256 connections at once; it
is as strict as a test needs, and no server for anything else.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from tailrace.testing.answers import Answer

HEAD_MAX: Final = 64 << 10
BODY_MAX: Final = 8 << 20
CONNECTIONS_MAX: Final = 256
START_SECONDS: Final = 10.0
TURNS: Final = 3
"""Of the loop, in which transports that were closed are told so."""
_WITHOUT_BODY: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

Answering = Callable[[str, str, Mapping[str, str], bytes], Answer]


class Served:
    """A listening fake; it serves from its making to `stop`, on `loop` where its time matters."""

    def __init__(self, answering: Answering, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._answering = answering
        self._listening = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS_MAX)
        self.port: int = self._socket.getsockname()[1]
        self._loop = loop or asyncio.new_event_loop()
        self._ended: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="fake-upstream", daemon=True)
        self._thread.start()
        if not self._listening.wait(START_SECONDS):
            raise RuntimeError("the fake upstream's thread did not start")

    def stop(self) -> None:
        """Closes every connection and ends the thread."""
        ended = self._ended
        if ended is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(ended.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(tasks) >= CONNECTIONS_MAX:
                writer.close()
                return
            task = self._loop.create_task(self._connection(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, sock=self._socket, limit=HEAD_MAX)
        self._listening.set()
        await self._ended.wait()
        server.close()
        # A connection that is being accepted now becomes a task of ours first.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(others)
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The event loop leaves it to us: the listening socket's protocol is not named. Without it a
        # second write waits for the caller to acknowledge the first, tens of milliseconds.
        own = writer.get_extra_info("socket")
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # The caller left, or does not speak HTTP; its side of the test sees that.
        finally:
            # At the end nobody waits for what the caller has not read yet.
            ended = self._ended is None or self._ended.is_set()
            close = writer.transport.abort if ended else writer.close
            close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection ends."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers: dict[str, str] = {}
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), value.strip())
        body = await _body(reader, headers)
        answer = self._answering(method, target, headers, body)
        if answer.ending == "never" or answer.delay_ms:
            wait = None if answer.ending == "never" else answer.delay_ms / 1000
            if await _left(reader, wait):
                return False
        if answer.ending == "reset":
            _reset(writer)
            return False
        body = b""
        if method != "HEAD" and answer.status not in _WITHOUT_BODY:
            body = answer.body[: len(answer.body) // 2] if _short(answer) else answer.body
        writer.write(_head(answer) + body)
        await writer.drain()
        return not _short(answer) and headers.get("connection", "").lower() != "close"


def _short(answer: Answer) -> bool:
    return answer.ending == "short"


async def _left(reader: asyncio.StreamReader, seconds: float | None) -> bool:
    """Waits; True when the caller closed its side before the time was over."""
    try:
        async with asyncio.timeout(seconds):
            # A caller sends nothing while it waits for its answer; the end of stream is a sign.
            return not await reader.read(1)
    except TimeoutError:
        return False


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            if len(body) + size > BODY_MAX:
                raise ValueError("the body is too large for a fake")
            body += (await reader.readexactly(size + 2))[:-2]
        while (await reader.readuntil(b"\r\n")) != b"\r\n":
            pass
        return body
    length = int(headers.get("content-length", "0"))
    if length > BODY_MAX:
        raise ValueError("the body is too large for a fake")
    return await reader.readexactly(length)


def _head(answer: Answer) -> bytes:
    code = answer.status
    phrase = HTTPStatus(code).phrase if code in HTTPStatus.__members__.values() else "Unknown"
    lines = [f"HTTP/1.1 {code} {phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if code not in _WITHOUT_BODY:
        lines.append(f"content-length: {len(answer.body) + (1 if _short(answer) else 0)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends with RST instead of FIN, as a crashed process does."""
    own = writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
