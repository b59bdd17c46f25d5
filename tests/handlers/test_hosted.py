"""Handlers under `tailrace.testing`, and what `tailrace explain` says of them."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from tailrace import Scope, Service, Upstream
from tailrace.cli.explain import page, rate
from tailrace.testing import FakeUpstream, TestPlane, status

orders = Upstream("orders", "http://orders:9001", retry=None)
coupons = Upstream("coupons", "http://coupons:9002", retry=None)
service = Service("tested", deadline="5s", upstreams=[coupons])


class Order(BaseModel):
    id: str


class Coupon(BaseModel):
    code: str


class Summary(BaseModel):
    order: Order
    coupon: Coupon


@service.get("/summary/{order_id}", limit=16)
async def summary(order_id: str, scope: Scope) -> Summary:
    order, coupon = await scope.all(
        orders.get("/orders/{id}", Order, id=order_id),
        scope.weak(coupons.get("/coupons/{id}", Coupon, id=order_id), default=Coupon(code="none")),
    )
    return Summary(order=order, coupon=coupon)


@pytest.mark.e2e
def test_a_handler_runs_over_fake_upstreams() -> None:
    fakes = {
        "orders": FakeUpstream({"/orders/{id}": {"id": "o1", "internal": True}}),
        "coupons": FakeUpstream({"/coupons/{id}": status(500)}),
    }
    with TestPlane(service, fakes) as plane:
        reply = plane.get("/summary/o1")
        assert reply.status == 200
        assert reply.json() == {"order": {"id": "o1"}, "coupon": {"code": "none"}}
        assert reply.headers["tailrace-degraded"] == "coupons;reason=server_error"
        assert plane.metric("tailrace_handler_in_flight", view="summary") == 0


class Page(BaseModel):
    text: str


large = Service("large", deadline="5s", upstreams=[orders])


@large.get("/pages/{length}")
async def page_of(length: int) -> Page:
    return Page(text="x" * length)


@pytest.mark.e2e
def test_a_reply_of_a_handler_counts_among_the_bodies_that_are_held() -> None:
    """Over the bound it is refused like an answer, and nothing stays held (req 11.1)."""
    bounds = {"limits.memory_max": "100KiB", "limits.request_memory_max": "100KiB"}
    fakes = {"orders": FakeUpstream({}), "coupons": FakeUpstream({})}
    with TestPlane(large, fakes, overrides=bounds) as plane:
        assert plane.get("/pages/90000").status == 200
        refused = plane.get("/pages/110000")
        assert (refused.status, refused.json()["code"]) == (503, "memory")
        assert plane.get("/pages/90000").status == 200


def test_upstreams_are_found_in_the_handlers_module_and_named_by_the_service() -> None:
    assert [one.name for one in service.upstreams] == ["orders", "coupons"]


def test_explain_says_what_is_known_of_a_handler() -> None:
    shown = page.render("tested.py", service.blueprint())
    assert "handler summary, deadline 5000 ms, fan-out 8" in shown
    assert "16 requests in it at once at most" in shown
    assert "at most 3 retries and hedges" in shown
    assert "summary: a handler; its code decides what it calls" in rate.render(
        service.blueprint(), 100
    )
