"""`tailrace.asgi.Middleware`: the request's time and id for its calls, routes by template."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
import tailrace
from asgi_side import Got, Thing, ask, plain, series, with_calls
from fastapi import FastAPI
from python_side import Upstream, eventually
from starlette.responses import StreamingResponse
from tailrace._inbound import INBOUND
from tailrace._runtime import asked_seconds
from tailrace.asgi import TIMEOUTS, Middleware

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("name", sorted(TIMEOUTS))
def test_the_plane_reads_what_the_middleware_picks(name: bytes) -> None:
    assert asked_seconds(name, b"5S" if name == b"grpc-timeout" else b"5000") == 5.0
    assert asked_seconds(name, b"soon") is None
    assert asked_seconds(b"x-other", b"5000") is None


@pytest.mark.parametrize(
    ("headers", "deadline", "least", "most"),
    [
        ({}, None, None, None),
        ({}, "30s", 20, 30),
        ({"grpc_timeout": "60S"}, "30s", 20, 30),
        ({"grpc_timeout": "20S"}, "30s", 10, 20),
        ({"connect_timeout_ms": "20000", "grpc_timeout": "1H"}, None, 10, 20),
        ({"x_envoy_expected_rq_timeout_ms": "20000"}, "24h", 10, 20),
        ({"grpc_timeout": "never"}, None, None, None),
    ],
)
def test_the_shortest_time_wins(
    headers: dict[str, str], deadline: str | None, least: float | None, most: float | None
) -> None:
    """ALGORITHMS 3, as the plane reads it."""
    found: list[float | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inbound = INBOUND.get()
        assert inbound is not None
        now = asyncio.get_running_loop().time()
        found.append(None if inbound.deadline is None else inbound.deadline - now)
        await plain(scope, receive, send)

    asyncio.run(ask(Middleware(app, deadline=deadline), "/", **headers))
    if least is None or most is None:
        assert found == [None]
    else:
        assert found[0] is not None
        assert least < found[0] <= most


def test_the_request_id_goes_to_calls_and_back(up: tailrace.Upstream, scripted: Upstream) -> None:
    async def make(client: tailrace.Client, path: str) -> Any:
        thing = await client.get(up, "/things/{id}", Thing, id=path[1:])
        return thing.id

    async def main(app: Middleware) -> list[Got]:
        return [
            await ask(app, "/one", x_request_id="mine-1"),
            await ask(app, "/two", x_request_id="bad id\r\nx: y"),
            await ask(app, "/three"),
        ]

    mine, bad, none = with_calls(up, make)(main)
    assert mine.headers["x-request-id"] == "mine-1"
    assert scripted.headers["/things/one"]["x-request-id"] == "mine-1"
    for got, path in ((bad, "/things/two"), (none, "/things/three")):
        made = got.headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{28}", made)
        assert scripted.headers[path]["x-request-id"] == made
    assert bad.headers["x-request-id"] != none.headers["x-request-id"]


def test_calls_end_with_their_request(up: tailrace.Upstream, scripted: Upstream) -> None:
    """RELIABILITY A04: the deadline of the caller, not the client's ten seconds."""

    async def make(client: tailrace.Client, path: str) -> Any:
        await client.get(up, "/hang/{id}", Thing, id="late")

    async def main(app: Middleware) -> tuple[Got, float]:
        gone = scripted.gone
        got = await ask(app, "/", grpc_timeout="80m")
        await asyncio.to_thread(eventually, "it is gone", lambda: scripted.gone == gone + 1)
        return got, series(app.metrics())['tailrace_bulkhead_in_flight{upstream="up"}']

    got, in_flight = with_calls(up, make)(main)
    assert got.status == 504
    assert got.headers["content-type"] == "application/problem+json"
    assert got.json["code"] == "deadline"
    assert got.json["request_id"] == got.headers["x-request-id"]
    assert in_flight == 0


def test_a_request_without_time_is_not_begun() -> None:
    begun = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope["path"])

    got = asyncio.run(ask(Middleware(app), "/", grpc_timeout="999u"))
    assert (got.status, got.json["code"], begun) == (504, "deadline", [])


def test_an_answer_that_has_begun_is_not_cut() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"whole"})

    got = asyncio.run(ask(Middleware(app, deadline="100ms"), "/"))
    assert (got.status, got.body) == (200, b"whole")


def test_what_an_app_does_with_its_cancellation_is_its_own() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await plain(scope, receive, send)

    assert asyncio.run(ask(Middleware(app, deadline="20ms"), "/late")).body == b"/late"


def test_an_apps_own_timeout_stays_its_own() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        asyncio.run(ask(Middleware(app, deadline="50s"), "/"))


def test_a_failed_call_that_nobody_caught_is_the_problem_of_a_service(
    up: tailrace.Upstream,
) -> None:
    """req 10.3: same status, code, words."""

    async def make(client: tailrace.Client, path: str) -> Any:
        await client.get(up, "/status/{n}", Thing, n=404)

    async def main(app: Middleware) -> tuple[Got, dict[str, float]]:
        return await ask(app, "/", x_request_id="r-1"), series(app.metrics())

    got, numbers = with_calls(up, make)(main)
    assert got.status == 404
    assert got.json == {
        "type": "urn:tailrace:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "code": "not_found",
        "detail": got.json["detail"],
        "part": "up",
        "request_id": "r-1",
    }
    assert got.json["detail"] == "the upstream does not know this resource"
    assert numbers['tailrace_unmatched_requests_total{status="404"}'] == 1


def test_weak_failures_are_told_in_the_reply(up: tailrace.Upstream) -> None:
    """req 8.1; a degraded reply is not for caches."""

    async def make(client: tailrace.Client, path: str) -> Any:
        first, second = await client.all(
            client.weak(up.get("/status/{n}", Thing, n=500), default=7, name="coupon"),
            client.weak(up.get("/status/{n}", Thing, n=409)),
        )
        return [first, second]

    async def whole(client: tailrace.Client, path: str) -> Any:
        return (await client.get(up, "/things/{id}", Thing, id=1)).id

    async def main(app: Middleware) -> Got:
        return await ask(app, "/")

    got = with_calls(up, make)(main)
    assert got.json == [7, None]
    told = got.headers["tailrace-degraded"]
    assert told == "coupon;reason=server_error, up;reason=client_error"
    caching = [value for name, value in got.pairs if name.lower() == b"cache-control"]
    assert caching == [b"no-store"]
    got = with_calls(up, whole)(main)
    assert "tailrace-degraded" not in got.headers
    assert got.headers["cache-control"] == "max-age=9"


def test_errors_and_cancellation_are_counted_and_passed_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = "/x"
        if scope["method"] == "POST":
            raise LookupError("mine")
        await asyncio.sleep(60)

    async def main() -> dict[str, float]:
        wrapped = Middleware(app)
        with pytest.raises(LookupError, match="mine"):
            await ask(wrapped, "/1", "POST")
        task = asyncio.create_task(ask(wrapped, "/2"))
        await asyncio.sleep(0)
        assert series(wrapped.metrics())["tailrace_in_flight_requests"] == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return series(wrapped.metrics())

    numbers = asyncio.run(main())
    assert numbers['tailrace_requests_total{view="POST /x",status="500"}'] == 1
    assert numbers['tailrace_cancelled_requests_total{view="GET /x"}'] == 1
    assert not any(key.startswith("http_server_") and "GET /x" in key for key in numbers)
    assert numbers["tailrace_in_flight_requests"] == 0


def test_other_scopes_pass_untouched() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], receive, send, INBOUND.get()))

    asyncio.run(Middleware(app)({"type": "lifespan"}, "receive", "send"))  # type: ignore[arg-type]
    asyncio.run(Middleware(app)({"type": "websocket"}, "receive", "send"))  # type: ignore[arg-type]
    assert seen == [(kind, "receive", "send", None) for kind in ("lifespan", "websocket")]


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="deadline of the middleware"):
        Middleware(plain, deadline="2")
    with pytest.raises(ValueError, match="is no path"):
        Middleware(plain, metrics="metrics")


def test_a_stream_of_a_framework_passes_through(up: tailrace.Upstream) -> None:
    app = FastAPI()

    async def pieces() -> Any:
        for n in range(3):
            yield f"{n}\n"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(pieces())

    app.add_middleware(Middleware, deadline="9s")
    assert asyncio.run(ask(app, "/stream")).body == b"0\n1\n2\n"
