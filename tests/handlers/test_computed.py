"""Computed fields: lowering, a view in a test of its user's, and what describes them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from tailrace import ConfigError, DeclarationError, Service, Upstream, View, computed, strong, weak
from tailrace._config import resolve
from tailrace._openapi import document
from tailrace.cli.explain import page
from tailrace.policies import Computed
from tailrace.testing import FakeUpstream, TestPlane, status

orders = Upstream("orders", "http://orders:9001", retry=None)
coupons = Upstream("coupons", "http://coupons:9002", retry=None)
service = Service("computed", deadline="5s")


class Order(BaseModel):
    id: str
    cents: int


class Coupon(BaseModel):
    off: int


class Money(BaseModel):
    cents: int
    text: str


@service.view("/orders/{order_id}", computed=Computed(time="20ms", limit=16))
class OrderView(View):
    """An order."""

    order: Order = strong(orders.get("/orders/{order_id}"))

    @computed
    def total(self) -> Money:
        off = self.coupon.off if self.coupon else 0
        cents = self.order.cents - off
        return Money(cents=cents, text=f"{cents / 100:.2f}")

    coupon: Coupon | None = weak(coupons.get("/coupons/{order_id}"))

    @computed(default=[])
    def words(self) -> list[str]:
        return self.total.text.split(".")


def test_the_blueprint_has_the_fields_at_their_place() -> None:
    (view,) = service.blueprint()["views"]
    assert view["computed"] == {
        "limit": 16,
        "time_ms": 20.0,
        "fields": [
            {"name": "total", "strength": "strong", "after": 1},
            {"name": "words", "strength": "weak", "after": 2, "default": []},
        ],
    }
    assert [part["name"] for part in view["parts"]] == ["order", "coupon"]


def test_a_view_without_computed_fields_has_none_in_its_blueprint() -> None:
    plain = Service("plain", deadline="1s")

    @plain.view("/x")
    class Plain(View):
        order: Order = strong(orders.get("/x"))

    assert "computed" not in plain.blueprint()["views"][0]


def test_bounds_can_be_overridden_without_the_code() -> None:
    flags = {"views.order.computed.time": "50ms", "views.order.computed.limit": 3}
    found = resolve(service, flags=flags, read_file=False)
    computed_ = found.blueprint["views"][0]["computed"]
    assert (computed_["time_ms"], computed_["limit"]) == (50.0, 3)
    assert found.origins["views.order.computed.time_ms"] == "flag --time"
    with pytest.raises(DeclarationError, match="TR154"):
        resolve(service, flags={"views.order.computed.limit": 0}, read_file=False)
    with pytest.raises(ConfigError):
        resolve(service, flags={"views.order.computed.width": 0}, read_file=False)


def test_the_code_is_tested_without_a_plane() -> None:
    """What a unit test of a user's looks like."""
    view = OrderView(order=Order(id="o", cents=1999), coupon=Coupon(off=100))
    assert view.total == Money(cents=1899, text="18.99")
    assert OrderView(order=Order(id="o", cents=5), coupon=None).words == ["0", "05"]
    assert OrderView.total.weak is False


@pytest.mark.e2e
def test_computed_fields_run_over_fake_upstreams() -> None:
    fakes = {
        "orders": FakeUpstream({"/orders/{id}": {"id": "o1", "cents": 250}}),
        "coupons": FakeUpstream({"/coupons/{id}": status(500)}),
    }
    with TestPlane(service, fakes) as plane:
        reply = plane.get("/orders/o1")
        assert reply.status == 200
        found: dict[str, Any] = reply.json()
        assert list(found)[:4] == ["order", "total", "coupon", "words"]
        assert found["total"] == {"cents": 250, "text": "2.50"}
        assert (found["words"], found["coupon"]) == (["2", "50"], None)
        assert reply.degraded == {"coupon": "server_error"}
        assert plane.metric("tailrace_interpreter_entries_total", view="order") == 1


def test_explain_says_what_python_makes() -> None:
    shown = " ".join(page.render("computed.py", service.blueprint()).split())
    made = "total (strong), words (weak): by Python, in one entry per request, 20 ms kept for it;"
    assert f"computed {made} 16 requests at once at most" in shown
    assert "computed fields 20 = " in shown
    assert "degrades coupon, words" in shown


def test_the_contract_has_the_fields_and_their_problems() -> None:
    found = document(service, resolve(service, read_file=False))
    schemas = found["components"]["schemas"]
    reply = schemas["OrderReply"]
    assert list(reply["properties"])[:4] == ["order", "total", "coupon", "words"]
    total = reply["properties"]["total"]
    assert total["x-tailrace-strength"] == "strong"
    model = schemas[total["$ref"].rpartition("/")[2]]
    assert model["properties"].keys() == {"cents", "text"}
    words = reply["properties"]["words"]
    assert (words["type"], words["x-tailrace-when-missing"]) == ("array", [])
    assert reply["properties"]["degraded"]["items"]["enum"] == ["coupon", "words"]
    operation = found["paths"]["/orders/{order_id}"]["get"]
    assert {"502", "503", "504"} <= operation["responses"].keys()
    codes = schemas["Problem502"]["properties"]["code"]["enum"]
    assert {"computed_error", "computed_mismatch"} <= set(codes)
