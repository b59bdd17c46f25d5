"""An upstream and services whose handlers run in a process of their own.

Prevents a handler test that shares its interpreter with what it hurts: the service is `tailrace
serve` on a file written for the test, the upstream a thread here.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from examples.orders.processes import PATIENCE_SECONDS, Service

PROLOGUE: Final = """
from __future__ import annotations

import asyncio
from pydantic import BaseModel
from tailrace import CallFailed, Scope, Service, Upstream, View, body, form, query, header, strong

up = Upstream("up", {url!r}, timeout="9s", bulkhead=400, retry=None)
broken = Upstream("broken", {url!r}, timeout="9s", bulkhead=400, retry=None, throttle=None)
service = Service("python", deadline="10s")


class Thing(BaseModel):
    id: str


class Pair(BaseModel):
    one: Thing
    other: Thing | None


@service.view("/declared/{{id}}")
class Declared(View):
    it: Thing = strong(up.get("/things/{{id}}"))

"""


class _Server(ThreadingHTTPServer):
    """Takes as many connections at once as a test opens."""

    request_queue_size = 1024


class Upstream:
    """`/things/x` is `{"id": "x"}`; `/status/409` fails so; `/hang/x` waits until the
    caller leaves, `/gate/x` until the test sets `gate`. While `failing` is set, no answer is 200
    but 500."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.headers: dict[str, dict[str, str]] = {}
        self.gone = 0
        self._lock = threading.Lock()
        self._release = threading.Event()
        self.gate = threading.Event()
        self.failing = threading.Event()
        own = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                own.answer(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names of the library

        self._server = _Server(("127.0.0.1", 0), Answer)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, _, _ = request.path.partition("?")
        _, kind, value = path.split("/", 2)
        with self._lock:
            self.seen[request.path] += 1
            self.headers[request.path] = {
                name.lower(): value for name, value in request.headers.items()
            }
        if kind == "hang":
            self._hang(request)
            return
        if kind == "gate":
            self.gate.wait(PATIENCE_SECONDS)
        told: dict[str, Any] = {"id": value, "secret": "s"}
        if request.command != "GET":
            sent = request.rfile.read(int(request.headers.get("content-length", 0)))
            told |= {
                "method": request.command,
                "sent": sent.decode(),
                "type": request.headers.get("content-type"),
                "key": request.headers.get("idempotency-key"),
            }
        body = json.dumps(told).encode()
        failing = 500 if self.failing.is_set() else 200
        request.send_response(int(value) if kind == "status" else failing)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _hang(self, request: BaseHTTPRequestHandler) -> None:
        request.connection.settimeout(0.02)
        while not self._release.is_set():
            try:
                if request.connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        with self._lock:
            self.gone += 1
        request.close_connection = True

    def close(self) -> None:
        self._release.set()
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving(folder: Path, upstream: Upstream, code: str, **environment: str) -> Iterator[Service]:
    """A service of `code`, after the prologue; its log is `folder / service.log`."""
    program = folder / "service.py"
    program.write_text(PROLOGUE.format(url=upstream.url) + code, encoding="utf-8")
    given = {"TAILRACE_ACCESS_LOG_FORMAT": "off", "TAILRACE_LISTEN_WORKERS": "2", **environment}
    log = folder / "service.log"
    with Service(str(program), log=log, environment=given) as service:
        yield service


class Reply:
    """One reply, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int, method: str, path: str, body: bytes | None = None, content_type: str = ""
) -> Reply:
    """One request with a body on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    with closing(connection):
        headers = {"Content-Type": content_type} if content_type else {}
        connection.request(method, path, body=body, headers=headers)
        return Reply(connection.getresponse())


def get(port: int, path: str, **headers: str) -> Reply:
    """One GET on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    with closing(connection):
        connection.request("GET", path, headers=headers)
        return Reply(connection.getresponse())


def metric(service: Service, name: str, label: str = "") -> float:
    """The sum of the series of `name` whose labels hold `label`."""
    text = get(service.admin_port, "/metrics").body.decode()
    found = [
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.rpartition(" ")[0].partition("{")[0] == name and label in line
    ]
    assert found, name
    return sum(found)


def eventually(what: str, ready: Any) -> None:
    """Waits until `ready()`, and fails when that takes longer than any machine should need."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        assert time.monotonic() < end, f"never came true: {what}"
        threading.Event().wait(0.01)
