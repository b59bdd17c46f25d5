"""A running plane over one scripted upstream, and a client that speaks bytes.

Prevents comparing with anything but what leaves the process: replies are read off the socket, and
the upstream records what reached it. Waits have an end: the plane's own limits are set so short
that a row which never ends is answered 408 in a moment, and the socket has a timeout besides.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import rows

sys.path.insert(0, str(rows.ROOT))

from examples.orders.processes import Service

PATIENCE_SECONDS: Final = 20.0
VIEWS: Final = ("/", "/canary", "/appended")
_ANSWER: Final = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"id":"it"}'
)
_SERVICE: Final = """
from pydantic import BaseModel

from tailrace import Service, Upstream, View, strong

up = Upstream("up", {url!r}, timeout="10s", bulkhead=64)
service = Service("differential", deadline="15s")


class Thing(BaseModel):
    id: str


@service.view("/")
class Root(View):
    it: Thing = strong(up.get("/"))


@service.view("/canary")
class Canary(View):
    it: Thing = strong(up.get("/canary"))


@service.view("/appended")
class Appended(View):
    it: Thing = strong(up.get("/appended"))
"""


class Upstream:
    """Answers every request with the same JSON and remembers its target."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._reached: list[str] = []
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, name="upstream", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def taken(self) -> list[str]:
        """The targets that arrived since the last call, in order."""
        with self._lock:
            reached, self._reached = self._reached, []
        return reached

    def close(self) -> None:
        # A blocked accept does not notice a close; shutting down wakes it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            self._answer_all(connection)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _answer_all(self, connection: socket.socket) -> None:
        received = b""
        while chunk := connection.recv(16 * 1024):
            received += chunk
            while (end := received.find(b"\r\n\r\n")) >= 0:
                head, received = received[:end], received[end + 4 :]
                with self._lock:
                    self._reached.append(head.split(b" ", 2)[1].decode("latin-1"))
                connection.sendall(_ANSWER)


@dataclass(frozen=True)
class Reply:
    """One reply of the plane; `code` is that of its problem document, empty without one."""

    status: int
    code: str


@dataclass
class Live:
    """The plane, its upstream, and how to talk to it."""

    upstream: Upstream
    port: int
    refusals: set[str] = field(default_factory=rows.refusal_codes)

    def play(self, data: bytes) -> list[Reply]:
        """Sends the bytes on a connection of their own; the replies until the plane closes it."""
        return replies(exchange(self.port, data))


def exchange(port: int, data: bytes, source: str = "127.0.0.1") -> bytes:
    """Sends the bytes, from a loopback address, and reads until the other side closes."""
    address = ("127.0.0.1", port)
    own = (source, 0)
    with socket.create_connection(address, PATIENCE_SECONDS, source_address=own) as connection:
        received = b""
        try:
            connection.sendall(data)
            while chunk := connection.recv(64 * 1024):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            # It refused before it had read everything: what it said until then counts.
            pass
    return received


def replies(received: bytes) -> list[Reply]:
    """Cuts what a plane said into replies; anything left over is an error."""
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        line = re.match(rb"HTTP/1\.1 (\d{3}) [^\r\n]*(?:\r\n|$)", head)
        assert line and end, f"not a reply: {head!r}"
        status = int(line[1])
        if status < 200:
            continue
        length = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
        size = int(length[1]) if length else 0
        assert length or status == 204, f"a reply without a length: {head!r}"
        body, received = received[:size], received[size:]
        assert len(body) == size, f"a reply cut short: {head!r}"
        found.append(Reply(status, _code(body) if status >= 400 else ""))
    return found


def _code(body: bytes) -> str:
    document = json.loads(body)
    return str(document["code"])


@contextmanager
def running(folder: Path) -> Iterator[Live]:
    """Starts upstream and plane; both end with the block."""
    upstream = Upstream()
    try:
        program = folder / "service.py"
        program.write_text(_SERVICE.format(url=upstream.url), encoding="utf-8")
        limits = {**rows.LIMITS, "request_body_max": rows.BODY_MAX}
        # Far above what reading a row takes, far below the patience of the client.
        limits |= {"head_read": "3s", "body_read": "3s", "idle": "3s"}
        environment = {f"TAILRACE_LIMITS_{name.upper()}": text for name, text in limits.items()}
        environment |= {"TAILRACE_ACCESS_LOG_FORMAT": "off", "TAILRACE_LISTEN_WORKERS": "1"}
        log = folder / "service.log"
        with Service(str(program), log=log, environment=environment) as service:
            yield Live(upstream, service.port)
    finally:
        upstream.close()
