"""The smallest service on a good and on a bad day; no time of the machine decides."""

import pytest
from tailrace.testing import TestPlane, hang, slow, status

from .minimal import service

pytestmark = pytest.mark.e2e

ROUTES = {
    "orders": {"/orders/{id}": {"id": "7", "user_id": "u-1", "total": "12.50"}},
    "coupons": {"/coupons/u-1": {"code": "TENOFF"}},
}


def test_the_order_comes_with_its_coupon() -> None:
    with TestPlane(service, ROUTES, clock="virtual") as plane:
        reply = plane.get("/orders/7")
    assert reply.json()["order"]["total"] == "12.50"
    assert reply.json()["coupon"] == {"code": "TENOFF"}


@pytest.mark.upstream_story("coupons", hang(), status(500), status(404))
def test_without_a_coupon_the_order_stands(tailrace_plane, upstream_story) -> None:
    reply = tailrace_plane(service, ROUTES, clock="virtual").get("/orders/7")
    assert (reply.status, reply.json()["coupon"]) == (200, None)
    assert reply.degraded == {"coupon": upstream_story.reason}


def test_a_slow_order_leaves_the_coupon_what_is_left_of_its_time() -> None:
    with TestPlane(service, ROUTES, clock="virtual") as plane:
        plane.fault("orders", slow("79ms"))
        plane.fault("coupons", hang())
        assert plane.get("/orders/7").degraded == {"coupon": "timeout"}
        assert plane.time_ms == 79 + 40
        plane.fault("orders", slow("81ms"))
        assert plane.get("/orders/7").code == "timeout"
