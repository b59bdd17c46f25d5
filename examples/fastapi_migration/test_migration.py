"""Every step answers as the one before it, and adds what the guide says it adds."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import httpx
import pytest
from tailrace.testing import FakeUpstream, Received, TestPlane, hang, status

from .models import Order

pytestmark = pytest.mark.e2e

STEPS = ["before", "step1", "step2", "step3"]
PAGE = {
    "order": {"id": "7", "user_id": "u-1", "total": "12.50"},
    "user": {"id": "u-1", "name": "Ada"},
    "coupon": {"code": "C", "percent": 5},
}


def order(request: Received) -> object:
    """What the order service knows; `risk` is nobody's business."""
    found = Order(id=request.params["id"], user_id="u-1", total="12.50")
    return {**found.model_dump(), "risk": 0.9}


@pytest.fixture
def fakes() -> Iterator[dict[str, FakeUpstream]]:
    made = {
        "orders": FakeUpstream({"/orders/{id}": order}),
        "users": FakeUpstream({"/users/{id}": {"id": "u-1", "name": "Ada", "password": "x"}}),
        "coupons": FakeUpstream({"/coupons/{id}": {"code": "C", "percent": 5}}),
    }
    with made["orders"], made["users"], made["coupons"]:
        yield made


@pytest.fixture(params=STEPS)
def step(
    request: pytest.FixtureRequest,
    fakes: dict[str, FakeUpstream],
    monkeypatch: pytest.MonkeyPatch,
) -> ModuleType:
    """A step's module, over the fakes."""
    for name, fake in fakes.items():
        monkeypatch.setenv(name.upper(), fake.url)
    name = f"examples.fastapi_migration.{request.param}"
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def asked(step: ModuleType, *paths: str, **headers: str) -> list[httpx.Response]:
    """The app's replies, one request after the other."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(step.app)
        async with (
            step.app.router.lifespan_context(step.app),
            httpx.AsyncClient(transport=transport, base_url="http://app") as client,
        ):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return [await client.get(path, headers=named) for path in paths]

    return asyncio.run(ask())


def test_the_page_is_the_same(step: ModuleType) -> None:
    reply = asked(step, "/orders/7/page")[0]
    assert (reply.status_code, reply.json()) == (200, PAGE)


def test_a_coupon_may_be_absent(step: ModuleType, fakes: dict[str, FakeUpstream]) -> None:
    fakes["coupons"].fault(status(500))
    reply = asked(step, "/orders/7/page")[0]
    assert (reply.status_code, reply.json()) == (200, {**PAGE, "coupon": None})
    told = reply.headers.get("tailrace-degraded")
    assert told == ("coupon;reason=server_error" if step.__name__.endswith("3") else None)


def test_no_order_is_404(step: ModuleType, fakes: dict[str, FakeUpstream]) -> None:
    fakes["orders"].on("/orders/{id}", status(404))
    reply = asked(step, "/orders/7/page")[0]
    assert reply.status_code == 404
    if step.__name__.endswith("3"):
        assert reply.json()["code"] == "not_found"


def test_no_user_is_502(step: ModuleType, fakes: dict[str, FakeUpstream]) -> None:
    fakes["users"].fault(status(500))
    assert asked(step, "/orders/7/page")[0].status_code == 502


@pytest.mark.parametrize("step", ["step3"], indirect=True)
def test_the_middleware_bounds_and_measures(
    step: ModuleType, fakes: dict[str, FakeUpstream]
) -> None:
    """RELIABILITY A04: the caller's time, not the app's two seconds, ends the calls."""
    page, metrics = asked(step, "/orders/7/page", "/metrics", x_request_id="r-1")
    assert page.headers["x-request-id"] == "r-1"
    assert fakes["users"].received[0].headers["x-request-id"] == "r-1"
    line = 'tailrace_requests_total{view="GET /orders/{order_id}/page",status="200"} 1'
    assert line in metrics.text.splitlines()
    assert 'tailrace_upstream_calls_total{upstream="users"} 1' in metrics.text.splitlines()
    fakes["users"].fault(hang())
    late = asked(step, "/orders/7/page", grpc_timeout="60m")[0]
    assert (late.status_code, late.json()["code"]) == (504, "deadline")


def test_the_declared_view_has_the_same_page(fakes: dict[str, FakeUpstream]) -> None:
    from .step4 import service

    with TestPlane(service, dict(fakes)) as plane:
        reply = plane.get("/orders/7/page")
    assert reply.status == 200
    assert {name: reply.json()[name] for name in PAGE} == PAGE
