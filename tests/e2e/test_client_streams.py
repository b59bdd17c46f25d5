"""`client.stream`: bodies in pieces, a bounded window, an early end that closes the connection.

The upstream is a raw socket here, so that a test sees what the socket sees.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import tailrace
import uvloop
from python_side import eventually
from tailrace.streams import WINDOW

pytestmark = pytest.mark.e2e

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\n"
PIECE = bytes(range(256)) * 256
"""64 KiB."""


class Raw:
    """Answers each connection's requests with `answer(connection, target)`."""

    def __init__(self) -> None:
        self.sent = 0
        self.connections = 0
        self.closed = 0
        self.heads: list[bytes] = []
        self.answer: Callable[[socket.socket, str], bool] = lambda _connection, _target: False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection):
            try:
                while self._one(connection):
                    pass
            except OSError:
                pass
        self.closed += 1

    def _one(self, connection: socket.socket) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            got = connection.recv(4096)
            if not got:
                return False
            head += got
        self.heads.append(head)
        return self.answer(connection, head.split()[1].decode())

    def send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        self.sent += len(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def raw() -> Iterator[Raw]:
    upstream = Raw()
    yield upstream
    upstream.close()


def run(raw: Raw, main: Callable[[tailrace.Client, tailrace.Upstream], Any], **given: Any) -> Any:
    options = {"timeout": "9s", "retry": None, "throttle": None, "bulkhead": 4, **given}
    up = tailrace.Upstream("up", raw.url, **options)

    async def whole() -> Any:
        async with tailrace.Client(up) as client:
            return await main(client, up)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_body_comes_whole_whatever_frames_it(raw: Raw, framing: str) -> None:
    body = PIECE * 20

    def answer(connection: socket.socket, _: str) -> bool:
        if framing == "length":
            raw.send(connection, HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        elif framing == "chunked":
            raw.send(connection, HEAD + b"transfer-encoding: chunked\r\n\r\n")
            for start in range(0, len(body), 5000):
                part = body[start : start + 5000]
                raw.send(connection, b"%x\r\n%s\r\n" % (len(part), part))
            raw.send(connection, b"0\r\n\r\n")
        else:
            raw.send(connection, HEAD + b"connection: close\r\n\r\n" + body)
        return framing != "close"

    async def main(client: tailrace.Client, up: tailrace.Upstream) -> Any:
        async with client.stream(up, "/export/{id}", id="a b") as got:
            first = await got.read()
        async with client.stream(up, "/export/{id}", id=2) as again:
            pieces = [piece async for piece in again]
        return got.status, got.content_type, got.length, first, pieces

    raw.answer = answer
    status, kind, length, first, pieces = run(raw, main)
    assert (status, kind) == (200, "text/csv")
    assert length == (len(body) if framing == "length" else None)
    assert first == b"".join(pieces) == body
    assert len(pieces) > 10
    assert max(map(len, pieces)) <= 64 * 1024
    assert b"GET /export/a%20b HTTP/1.1\r\n" in raw.heads[0]
    assert b"\r\naccept: */*\r\n" in raw.heads[0]
    # A body that ended cleanly gives its connection back.
    assert raw.connections == (2 if framing == "close" else 1)


def test_a_slow_reader_is_felt_by_the_upstream(raw: Raw) -> None:
    """Back-pressure: what the plane holds is bounded, the rest stays in the upstream's hands."""
    pieces = 1024

    def answer(connection: socket.socket, _: str) -> bool:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        raw.send(connection, HEAD + b"content-length: %d\r\n\r\n" % (len(PIECE) * pieces))
        for _ in range(pieces):
            raw.send(connection, PIECE)
        return True

    def stands_still() -> int:
        """What was sent, when it did not grow for a while."""
        before = -1
        while before != raw.sent:
            before = raw.sent
            time.sleep(0.5)
        return before

    async def main(client: tailrace.Client, up: tailrace.Upstream) -> Any:
        async with client.stream(up, "/big", deadline="50s", body_max=f"{pieces}MiB") as answer:
            held = await asyncio.to_thread(stands_still)
            total = 0
            async for piece in answer:
                total += len(piece)
            return held, total

    raw.answer = answer
    held, total = run(raw, main)
    # The window, and the kernel's socket buffers on both sides; never the whole 64 MiB.
    assert WINDOW <= held < 16 * 1024 * 1024
    assert total == len(PIECE) * pieces


def test_leaving_early_closes_the_connection(raw: Raw) -> None:
    def answer(connection: socket.socket, _: str) -> bool:
        raw.send(connection, HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        return connection.recv(1) != b""  # Nothing is sent while the answer is open.

    async def main(client: tailrace.Client, up: tailrace.Upstream) -> Any:
        async with client.stream(up, "/endless") as answer:
            async for piece in answer:
                assert piece == b"abc"
                break
        await asyncio.to_thread(eventually, "it is closed", lambda: raw.closed == 1)
        with pytest.raises(tailrace.CallFailed) as caught:
            await anext(answer)
        return caught.value.reason

    raw.answer = answer
    assert run(raw, main) == "cancelled"


def test_a_cancelled_reader_closes_it_too(raw: Raw) -> None:
    """RELIABILITY A04: and its place in the bulkhead is free."""

    def answer(connection: socket.socket, _: str) -> bool:
        raw.send(connection, HEAD + b"transfer-encoding: chunked\r\n\r\n")
        return connection.recv(1) != b""

    async def main(client: tailrace.Client, up: tailrace.Upstream) -> None:
        async def reader() -> None:
            async with client.stream(up, "/endless") as answer:
                await answer.read()

        for turn in range(1, 4):  # One place: a second stream needs the first one's.
            task = asyncio.create_task(reader())
            await asyncio.to_thread(eventually, "asked", lambda n=turn: len(raw.heads) == n)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(eventually, "closed", lambda n=turn: raw.closed == n)

    raw.answer = answer
    run(raw, main, bulkhead=1)


@pytest.mark.parametrize(
    ("sent", "reason", "answered"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "not_found", 404),
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "server_error", 503),
        (b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", "redirect", 302),
        (HEAD + b"content-length: 5000000\r\n\r\n", "body_too_large", None),
        (b"rubbish\r\n\r\n", "protocol", None),
        (b"", "reset", None),
    ],
)
def test_what_fails_before_the_body_fails_on_entry(
    raw: Raw, sent: bytes, reason: str, answered: int | None
) -> None:
    def answer(connection: socket.socket, _: str) -> bool:
        raw.send(connection, sent)
        return False

    async def main(client: tailrace.Client, up: tailrace.Upstream) -> tailrace.CallFailed:
        with pytest.raises(tailrace.CallFailed) as caught:
            async with client.stream(up, "/x"):
                pass
        return caught.value

    raw.answer = answer
    failed = run(raw, main)
    assert (failed.upstream, failed.reason, failed.answered) == ("up", reason, answered)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (HEAD + b"content-length: 10\r\n\r\nabc", "reset"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "reset"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", "protocol"),
        (HEAD + b"content-length: 3\r\n\r\nabcd", "protocol"),
        (HEAD + b"connection: close\r\n\r\nabc" + b"x" * 2000, "body_too_large"),
    ],
)
def test_what_fails_within_the_body_fails_where_it_is_read(
    raw: Raw, sent: bytes, reason: str
) -> None:
    """And is not tried again: its first bytes were given away already."""

    def answer(connection: socket.socket, _: str) -> bool:
        raw.send(connection, sent)
        return False

    async def main(client: tailrace.Client, up: tailrace.Upstream) -> Any:
        async with client.stream(up, "/x", body_max="1KiB") as answer:
            with pytest.raises(tailrace.CallFailed) as caught:
                await answer.read()
        return caught.value.reason, caught.value.answered

    raw.answer = answer
    assert run(raw, main, retry=tailrace.Retry(attempts=3)) == (reason, 200)
    assert raw.connections == 1


def test_timeout_is_for_the_head_and_deadline_for_the_whole(raw: Raw) -> None:
    def answer(connection: socket.socket, target: str) -> bool:
        if target == "/slow-head":
            return connection.recv(1) != b""
        raw.send(connection, HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        return connection.recv(1) != b""

    async def main(client: tailrace.Client, up: tailrace.Upstream) -> list[str]:
        found = []
        with pytest.raises(tailrace.CallFailed) as caught:
            async with client.stream(up, "/slow-head", timeout="30ms"):
                pass
        found.append(caught.value.reason)
        async with client.stream(up, "/slow-body", timeout="5s", deadline="8s") as answer:
            found.append((await anext(answer)).decode())
        with pytest.raises(tailrace.CallFailed) as caught:
            async with client.stream(up, "/slow-body", deadline="300ms") as answer:
                await answer.read()
        return [*found, caught.value.reason]

    raw.answer = answer
    assert run(raw, main) == ["timeout", "abc", "deadline"]


def test_mistakes_are_told(raw: Raw) -> None:
    async def main(client: tailrace.Client, up: tailrace.Upstream) -> None:
        with pytest.raises(ValueError, match="deadline of the stream"):
            client.stream(up, "/x", deadline="5")
        with pytest.raises(ValueError, match="body_max of the stream"):
            client.stream(up, "/x", body_max="lots")
        with pytest.raises(tailrace.DeclarationError, match="looks like a value"):
            async with client.stream(up, "/orders/17"):
                pass
        stream = client.stream(up, "/x")
        with pytest.raises(RuntimeError, match="is not open"):
            await anext(stream)

    run(raw, main)
