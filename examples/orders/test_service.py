"""The order service on good and bad days, without its upstreams (docs/guides/test-your-service.md).

`tests/e2e` runs the same service over real upstream processes; here every answer is scripted, so a
test can say what an upstream does and the reader sees what the reply becomes.
"""

from collections.abc import Callable
from typing import Any

import pytest
from tailrace.testing import (
    FakeUpstream,
    Received,
    TestPlane,
    broken_json,
    hang,
    html,
    ok,
    reset,
    slow,
    status,
    truncated,
)

from .models import Recommend
from .service import service

pytestmark = pytest.mark.e2e

ADDRESS = {"street": "1 Long Road", "city": "Graz", "postal_code": "8010", "country": "AT"}
STOCK = {"sku": "s-1", "available": 3, "reserved": 1}
FAULTS = (hang(), reset(), truncated({"items": []}), html(), broken_json(), status(500))


def order(request: Received) -> object:
    return {
        "id": request.params["id"],
        "user_id": "u-1",
        "status": "paid",
        "currency": "EUR",
        "total": "12.50",
        "created_at": "2026-11-24T10:00:00Z",
        "items": [{"sku": "s-1", "name": "Lamp", "quantity": 1, "price": "12.50"}],
        "shipping": {"name": "Ada", **ADDRESS},
        "risk_score": 0.9,
    }


def upstreams() -> dict[str, Any]:
    """All five, well."""
    user = {"id": "u-1", "name": "Ada", "email": "ada@example.com", "tier": "gold"}
    coupon = {"code": "C", "percent": 5, "expires_at": "2026-12-31T00:00:00Z"}
    return {
        "orders": FakeUpstream({"/orders/{id}": order}),
        "users": FakeUpstream(
            {
                "/users/{id}": {
                    **user,
                    "locale": "de",
                    "member_since": "2020-02-29",
                    "address": ADDRESS,
                }
            }
        ),
        "inventory": FakeUpstream(
            {
                "/inventory/{id}": {"order_id": "7", "warehouse": "w", "lines": [STOCK]},
                "/stock/{sku}": {**STOCK, "warehouse": "w"},
            }
        ),
        "coupons": FakeUpstream(
            {"/coupons/{id}": {**coupon, "conditions": {"minimum_total": "5", "currency": "EUR"}}}
        ),
        "recommend": FakeUpstream({"/recommend/{id}": ok(Recommend(items=[]))}),
    }


Start = Callable[..., TestPlane]


def test_all_is_well(tailrace_plane: Start) -> None:
    plane = tailrace_plane(service, upstreams(), clock="virtual")
    reply = plane.get("/api/orders/7")
    assert (reply.status, reply.degraded) == (200, {})
    assert reply.json()["coupon"]["code"] == "C"
    assert "risk_score" not in reply.json()["order"]  # Not declared, so it never leaves.
    plane.upstreams["users"].assert_received("GET /users/u-1", times=1)
    assert (
        plane.time_ms == 0
    )  # Nothing waited for a timer, so only the upstreams' time would count.


@pytest.mark.upstream_story("coupons", *FAULTS, status(404))
@pytest.mark.upstream_story("recommend", *FAULTS)
def test_a_weak_upstream_never_decides(tailrace_plane: Start, upstream_story: Any) -> None:
    plane = tailrace_plane(service, upstreams(), clock="virtual")
    reply = plane.get("/api/orders/7")
    part = {"coupons": "coupon", "recommend": "recommend"}[upstream_story.upstream]
    assert (reply.status, reply.degraded) == (200, {part: upstream_story.reason})
    assert reply.json()[part] == {"coupon": None, "recommend": {"items": []}}[part]


def test_the_deadline_holds_whatever_is_slow(tailrace_plane: Start) -> None:
    """req 4.5: the slowest chain that is let through is an order of 70 ms and a user of 60."""
    plane = tailrace_plane(service, upstreams(), clock="virtual")
    for name, delay in (("orders", "69ms"), ("users", "59ms"), ("recommend", "1h")):
        plane.fault(name, slow(delay))
    reply = plane.get("/api/orders/7")
    assert (reply.status, reply.degraded) == (200, {"recommend": "timeout"})
    assert plane.time_ms == 69 + 59


@pytest.mark.upstream_story("users", *FAULTS)
@pytest.mark.upstream_story("inventory", *FAULTS)
def test_a_strong_upstream_decides_and_is_named(tailrace_plane: Start, upstream_story: Any) -> None:
    plane = tailrace_plane(service, upstreams(), clock="virtual")
    reply = plane.get("/api/orders/7")
    part = {"users": "user", "inventory": "inventory"}[upstream_story.upstream]
    assert reply.status == (504 if upstream_story.reason == "timeout" else 502)
    assert (reply.json()["part"], reply.code) == (part, upstream_story.reason)


def test_an_unknown_order_is_404_and_nobody_else_is_asked_for_it(tailrace_plane: Start) -> None:
    fakes = upstreams()
    fakes["orders"].on("/orders/{id}", status(404))
    reply = tailrace_plane(service, fakes, clock="virtual").get("/api/orders/none")
    assert (reply.status, reply.code) == (404, "not_found")
    fakes["users"].assert_not_called()


def test_each_item_of_the_order_is_looked_up_once(tailrace_plane: Start) -> None:
    plane = tailrace_plane(service, upstreams(), clock="virtual")
    reply = plane.get("/api/orders/7/stock")
    assert [line["sku"] for line in reply.json()["stock"]] == ["s-1"]
    plane.upstreams["inventory"].assert_received("GET /stock/s-1", times=1)
