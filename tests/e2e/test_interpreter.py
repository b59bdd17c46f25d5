"""A declared view enters the interpreter zero times per request (DESIGN, promise 3).

Proved by holding the interpreter lock in another thread of the same process while a thousand
requests are answered: anything that needed Python would never return.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.e2e

REQUESTS = 1_000

# `PyDLL` keeps the interpreter lock during the call: `read` returns when the test writes a byte.
CHILD = """
    import ctypes, json, sys
    from tailrace import Service, Upstream, View, strong
    from tailrace._runtime import Plane
    from tailrace.policies import Admission
    from pydantic import BaseModel

    class Thing(BaseModel):
        id: str

    things = Upstream("things", sys.argv[1], timeout="5s", bulkhead=50)
    calm = Admission(shed=None, brownout=None)  # Whatever else the machine does.
    service = Service("held", deadline="10s", fanout=2, admission=calm)

    @service.view("/things/{id}")
    class ThingView(View):
        thing: Thing = strong(things.get("/things/{id}"))

    blueprint = service.blueprint()
    blueprint["listen"] = {"port": 0, "admin_port": 0, "workers": 1}
    blueprint["access_log"] = {"format": "json", "path": sys.argv[2]}
    plane = Plane(json.dumps(blueprint).encode(), b"{}")
    print(json.dumps({"service": plane.address, "admin": plane.admin_address}), flush=True)
    held = ctypes.create_string_buffer(1)
    ctypes.PyDLL(None).read(0, held, 1)
    plane.stop()
    plane.wait(10.0)
    print(json.dumps({"held": held.raw.decode()}), flush=True)
"""


class Things(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one write

    def do_GET(self) -> None:
        body = json.dumps({"id": self.path.rsplit("/", 1)[1], "secret": "x"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def things() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Things)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(address: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_requests_are_answered_while_the_interpreter_is_held(things: str, tmp_path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(CHILD), things, str(tmp_path / "access.log")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        try:
            addresses = json.loads(child.stdout.readline())
            connection = http.client.HTTPConnection(addresses["service"], timeout=30)
            for number in range(REQUESTS):
                connection.request("GET", f"/things/t-{number}")
                response = connection.getresponse()
                assert response.status == 200
                body = json.loads(response.read())
                assert body["thing"] == {"id": f"t-{number}"}
                assert body["degraded"] == []
            connection.close()
            status, metrics = get(addresses["admin"], "/metrics")
            assert status == 200
            assert f'status="200"}} {REQUESTS}'.encode() in metrics
            child.stdin.write(b"!")
            child.stdin.flush()
            assert json.loads(child.stdout.readline()) == {"held": "!"}
            assert child.wait(timeout=30) == 0
        finally:
            child.kill()
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert len(lines) == REQUESTS, "one access log line per request (req 5.2)"
    assert all(json.loads(line)["status"] == 200 for line in lines)
