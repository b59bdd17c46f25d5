"""`tailrace.Client` and its middleware under the ASGI servers people use, with both loops.

Each server is a process of its own, as it is deployed. What it does when a client leaves is tested
as it is, since the guide says it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from asgi_side import series
from python_side import Reply, Upstream, eventually, get

from examples.orders.processes import PATIENCE_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

APP = """
import os
from contextlib import asynccontextmanager

import tailrace
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from tailrace.asgi import Middleware


class Thing(BaseModel):
    id: str


up = tailrace.Upstream("up", os.environ["UP"], timeout="50s", retry=None, throttle=None)
client = tailrace.Client(up, deadline="50s")
finished = []


@asynccontextmanager
async def lifespan(_):
    async with client:
        yield


app = FastAPI(lifespan=lifespan)
watch = os.environ["WATCH"] == "yes"
app.add_middleware(Middleware, client=client, metrics="/metrics", cancel_on_disconnect=watch)


@app.get("/page/{id}")
async def page(id: str) -> list[Thing | None]:
    return list(await client.all(
        up.get("/things/{id}", Thing, id=id),
        client.weak(up.get("/status/{n}", Thing, n=500), name="odd"),
    ))


@app.get("/piped/{id}")
async def piped(id: str):
    async def pieces():
        async with client.stream(up, "/things/{id}", id=id) as answer:
            async for piece in answer:
                yield piece

    return StreamingResponse(pieces())


@app.get("/call/{kind}/{id}")
async def call(kind: str, id: str) -> Thing:
    thing = await client.get(up, "/{kind}/{id}", Thing, kind=kind, id=id)
    finished.append(id)
    return thing


@app.get("/finished")
async def ended() -> list[str]:
    return finished
"""


def argv(server: str, loop: str, port: int, workers: int) -> list[str]:
    at = ["--host", "127.0.0.1", "--port", str(port)]
    many = ["--workers", str(workers)]
    given = {
        "uvicorn": ["uvicorn", "served:app", *at, *many, "--loop", loop],
        "granian": ["granian", "served:app", "--interface", "asgi", *at, *many, "--loop", loop],
        "hypercorn": [
            *("hypercorn", "served:app", "--bind", f"127.0.0.1:{port}", *many),
            *("--worker-class", loop),
        ],
    }
    return [sys.executable, "-m", *given[server]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found: int = listener.getsockname()[1]
        return found


@pytest.fixture
def scripted() -> Iterator[Upstream]:
    started = Upstream()
    yield started
    started.close()


@contextmanager
def serving(
    folder: Path, scripted: Upstream, server: str, loop: str, *, workers: int = 1, watch: str = "no"
) -> Iterator[int]:
    """The port of the app; that its server ends in order is checked at the end."""
    (folder / "served.py").write_text(APP, encoding="utf-8")
    port = free_port()
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv(server, loop, port, workers),
            cwd=folder,
            env={**os.environ, "UP": scripted.url, "WATCH": watch},
            stdout=out,
            stderr=out,
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return get(port, "/finished").status == 200
        except OSError:
            return False

    try:
        eventually("the server answers", answers)
        if server == "granian":  # It never ends a worker that was not up when it was told to end.
            up = "Started worker-"
            eventually("all workers are up", lambda: log.read_text().count(up) == workers)
        yield port
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    said = log.read_text()
    assert code in (0, -signal.SIGTERM, 128 + signal.SIGTERM), said
    for sign in ("panicked", "Traceback", "left open", "Fatal"):
        assert sign not in said, said


def ask_and_leave(port: int, path: str, scripted: Upstream, seen: str) -> None:
    """Closes the connection while the upstream works on the request's call."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        eventually("the call runs", lambda: scripted.seen[seen] > 0)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("server", ["uvicorn", "granian", "hypercorn"])
def test_it_works_and_ends_in_order(
    tmp_path: Path, scripted: Upstream, server: str, loop: str
) -> None:
    with serving(tmp_path, scripted, server, loop) as port:

        def page(n: int) -> Reply:
            return get(port, f"/page/p-{n}", **{"X-Request-Id": f"r-{n}"})

        with ThreadPoolExecutor(16) as pool:
            for n, reply in enumerate(pool.map(page, range(48))):
                assert (reply.status, reply.json) == (200, [{"id": f"p-{n}"}, None])
                assert reply.headers["x-request-id"] == f"r-{n}"
                assert reply.headers["tailrace-degraded"] == "odd;reason=server_error"
        assert scripted.headers["/things/p-7"]["x-request-id"] == "r-7"
        assert get(port, "/piped/whole").json == {"id": "whole", "secret": "s"}
        late = get(port, "/call/hang/late", **{"grpc-timeout": "100m"})
        assert (late.status, late.json["code"]) == (504, "deadline")
        numbers = series(get(port, "/metrics").body.decode())
        assert numbers['tailrace_requests_total{view="GET /page/{id}",status="200"}'] == 48
        assert numbers['tailrace_degraded_replies_total{view="GET /page/{id}"}'] == 48
        assert numbers['tailrace_upstream_calls_total{upstream="up"}'] == 98
        assert numbers["tailrace_python_loop_lag_seconds_count"] > 0


@pytest.mark.parametrize("server", ["uvicorn", "granian", "hypercorn"])
def test_workers_of_a_server_have_clients_of_their_own(
    tmp_path: Path, scripted: Upstream, server: str
) -> None:
    """They load the app after they were started, so that nothing forks under a client."""
    with (
        serving(tmp_path, scripted, server, "uvloop", workers=2) as port,
        ThreadPoolExecutor(8) as pool,
    ):
        replies = list(pool.map(lambda n: get(port, f"/page/{n}"), range(24)))
        assert [reply.json[0]["id"] for reply in replies] == [str(n) for n in range(24)]


@pytest.mark.parametrize("server", ["uvicorn", "granian", "hypercorn"])
def test_no_server_stops_the_route_of_a_client_that_left(
    tmp_path: Path, scripted: Upstream, server: str
) -> None:
    with serving(tmp_path, scripted, server, "uvloop") as port:
        ask_and_leave(port, "/call/gate/left", scripted, "/gate/left")
        scripted.gate.set()
        eventually("the route ends by itself", lambda: get(port, "/finished").json == ["left"])


@pytest.mark.parametrize("server", ["uvicorn", "granian", "hypercorn"])
def test_the_middleware_stops_it_when_asked_to(
    tmp_path: Path, scripted: Upstream, server: str
) -> None:
    """RELIABILITY A04: the call with it, long before its deadline of 50 s."""
    with serving(tmp_path, scripted, server, "uvloop", watch="yes") as port:
        ask_and_leave(port, "/call/hang/left", scripted, "/hang/left")
        eventually("the upstream sees the end", lambda: scripted.gone == 1)
        view = 'tailrace_cancelled_requests_total{view="GET /call/{kind}/{id}"}'
        eventually(
            "it is counted", lambda: series(get(port, "/metrics").body.decode()).get(view) == 1
        )
        assert get(port, "/page/on").json == [{"id": "on"}, None]
