"""Routes of an ASGI app in `/metrics`: by template, bounded, under the names of a service's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tailrace
from asgi_side import Thing, ask, plain, scope, series, speak, with_calls
from fastapi import APIRouter, FastAPI
from litestar import Litestar, get
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from tailrace._measures import BOUNDS, VIEWS_MAX
from tailrace.asgi import Middleware

pytestmark = pytest.mark.e2e

METRICS = Path(__file__).parents[2] / "docs/reference/metrics.md"


def fastapi_app() -> Any:
    app = FastAPI()
    inner = FastAPI()
    router = APIRouter(prefix="/shops/{shop}")

    @app.get("/orders/{order_id}")
    async def order(order_id: str) -> str:
        return order_id

    @app.post("/orders/{order_id}")
    async def change(order_id: str) -> str:
        return order_id

    @router.get("/stock/{sku}")
    def stock(shop: str, sku: str) -> str:  # In a thread.
        return shop + sku

    @inner.get("/deep/{id}")
    async def deep(id: str) -> str:
        return id

    app.include_router(router, prefix="/v1")
    app.mount("/tenants/{tenant}", inner)
    app.add_middleware(Middleware, metrics="/metrics")
    return app


def starlette_app() -> Any:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("x")

    deep = [Route("/deep/{id}", answer)]
    routes = [
        Route("/orders/{order_id}", answer, methods=["GET", "POST"]),
        Mount("/v1", routes=[Route("/shops/{shop}/stock/{sku}", answer)]),
        Mount("/tenants/{tenant}", app=Starlette(routes=deep)),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(Middleware, metrics="/metrics")  # type: ignore[arg-type]
    return app


def litestar_app() -> Any:
    @get("/orders/{order_id:str}")
    async def order(order_id: FromPath[str]) -> str:
        return order_id

    return Middleware(Litestar([order]), metrics="/metrics")


# A mount that has nothing at a path took the request in Starlette's eyes, not in FastAPI's.
@pytest.mark.parametrize(("make", "taken"), [(fastapi_app, 0), (starlette_app, 5)])
def test_routes_are_counted_by_template(make: Callable[[], Any], taken: int) -> None:
    async def main() -> dict[str, float]:
        app = make()
        for n in range(5):
            assert (await ask(app, f"/orders/o-{n}")).status == 200
            assert (await ask(app, f"/v1/shops/s-{n}/stock/k-{n}")).status == 200
            assert (await ask(app, f"/tenants/t-{n}/deep/d-{n}")).status == 200
            assert (await ask(app, f"/nowhere/{n}")).status == 404
            assert (await ask(app, f"/tenants/t-{n}/nowhere")).status == 404
        await ask(app, "/orders/1", "POST")
        await ask(app, "/orders/1", "BREW")
        got = await ask(app, "/metrics")
        assert (await ask(app, "/metrics", "HEAD")).body == b""
        assert (await ask(app, "/metrics", "POST")).status == 405
        assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
        return series(got.body.decode())

    numbers = asyncio.run(main())
    requests = {key: n for key, n in numbers.items() if key.startswith("tailrace_requests_total")}
    below = 'tailrace_requests_total{view="GET /tenants/{tenant}/{path}",status="404"}'
    assert requests.pop(below, 0) == taken
    assert requests == {
        'tailrace_requests_total{view="GET /orders/{order_id}",status="200"}': 5,
        'tailrace_requests_total{view="POST /orders/{order_id}",status="200"}': 1,
        'tailrace_requests_total{view="GET /v1/shops/{shop}/stock/{sku}",status="200"}': 5,
        'tailrace_requests_total{view="GET /tenants/{tenant}/deep/{id}",status="200"}': 5,
        'tailrace_requests_total{view="other",status="405"}': 1,
    }
    assert numbers['tailrace_unmatched_requests_total{status="404"}'] == 10 - taken
    label = (
        'view="GET /orders/{order_id}",http_route="/orders/{order_id}",http_request_method="GET",'
        'http_response_status_code="200",url_scheme="http"'
    )
    assert numbers[f"http_server_request_duration_seconds_count{{{label}}}"] == 5
    assert numbers[f'http_server_request_duration_seconds_bucket{{{label},le="+Inf"}}'] == 5
    whole = 'tailrace_replies_total{view="GET /orders/{order_id}",outcome="complete"}'
    assert numbers[whole] == 5


def test_litestar_says_its_template() -> None:
    async def main() -> dict[str, float]:
        app = litestar_app()
        for n in range(3):
            assert (await ask(app, f"/orders/o-{n}")).status == 200
            assert (await ask(app, f"/nowhere/{n}")).status == 404
        return series((await ask(app, "/metrics")).body.decode())

    numbers = asyncio.run(main())
    assert numbers['tailrace_requests_total{view="GET /orders/{order_id}",status="200"}'] == 3
    assert numbers['tailrace_unmatched_requests_total{status="404"}'] == 3


@pytest.mark.parametrize("inside", [True, False])
def test_a_root_path_is_no_mount(inside: bool) -> None:
    """It says where a proxy has put the app, and is no part of a route."""
    app = FastAPI()
    app.mount("/in", fastapi_app())

    @app.get("/orders/{order_id}")
    async def order(order_id: str) -> str:
        return order_id

    if inside:
        app.add_middleware(Middleware, metrics="/metrics")
    served = app if inside else Middleware(app, metrics="/metrics")

    async def main() -> dict[str, float]:
        for path in ("/orders/1", "/in/orders/1"):
            asked = scope(f"/api{path}")
            asked["root_path"] = "/api"  # As `uvicorn --root-path` says it.
            assert (await speak(served, asked)).status == 200
        return series((await ask(served, "/metrics")).body.decode())

    numbers = asyncio.run(main())
    assert numbers['tailrace_requests_total{view="GET /orders/{order_id}",status="200"}'] == 1
    assert numbers['tailrace_requests_total{view="GET /in/orders/{order_id}",status="200"}'] == 1


def test_there_is_an_end_to_labels() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = scope["path"]  # A framework that gives the raw path away.
        await plain(scope, receive, send)

    async def main() -> dict[str, float]:
        wrapped = Middleware(app)
        for n in range(VIEWS_MAX + 7):
            await ask(wrapped, f"/{n}")
        return series(wrapped.metrics())

    numbers = asyncio.run(main())
    assert numbers['tailrace_requests_total{view="other",status="200"}'] == 7
    views = {key for key in numbers if key.startswith("tailrace_requests_total")}
    assert len(views) == VIEWS_MAX + 1


def test_names_types_and_buckets_are_the_planes(up: tailrace.Upstream) -> None:
    """One dashboard for views and routes; each family once."""

    async def make(client: tailrace.Client, path: str) -> Any:
        return (await client.get(up, "/things/{id}", Thing, id=1)).id

    async def main(app: Middleware) -> str:
        await ask(app, "/x")
        return app.metrics()

    text = with_calls(up, make)(main)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    assert len(kinds) == len(re.findall(r"^# TYPE ", text, re.M))
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.M))
    rows = re.findall(r"^\| `(\S+)` \| (\w+) \| [^|]*\| (.+) \|$", METRICS.read_text(), re.M)
    for name, kind, what in rows:
        if name in kinds:
            assert (kinds[name], helps[name]) == (kind, what)
    assert "tailrace_requests_total" in kinds
    assert "tailrace_upstream_calls_total" in kinds
    numbers = series(text)
    assert numbers['tailrace_upstream_calls_total{upstream="up"}'] == 1
    assert numbers["tailrace_python_loop_lag_seconds_count"] >= 1
    assert numbers["tailrace_python_lock_wait_seconds_count"] >= 1
    attempts = r'http_client_request_duration_seconds_bucket\{[^}]*code="200".*,le="([^"]+)"'
    bounds = re.findall(attempts, text)
    assert bounds == [*map(str, BOUNDS), "+Inf"]
