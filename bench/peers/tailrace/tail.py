"""The order view for `bench/tail.py`; the environment says which policies stand.

`BENCH_POLICIES` is one of `POLICIES` below. A second view needs three of the five upstreams, so
that what a hanging upstream does to others can be measured where it is not used.
"""

from __future__ import annotations

import os
from typing import Any

import tailrace
from models import Coupon, Inventory, Order, Recommend, User
from tailrace import (
    AdaptiveLimit,
    Breaker,
    Hedge,
    Retry,
    Service,
    Throttle,
    Upstream,
    View,
    strong,
    weak,
)

POLICIES: dict[str, dict[str, Any]] = {
    "default": {},
    "hedged": {"hedge": Hedge()},
    "retrying": {"retry": Retry(attempts=3)},
    "off": {"retry": None, "breaker": None, "throttle": None},
    "on": {
        "retry": Retry(attempts=3),
        "hedge": Hedge(),
        "breaker": Breaker(),
        "throttle": Throttle(),
        "adaptive": AdaptiveLimit(init=64),
    },
}

CHOSEN = os.environ["BENCH_POLICIES"]
TIMEOUT = f"{os.environ.get('CALL_TIMEOUT_MS', '100')}ms"
DEADLINE = f"{os.environ.get('DEADLINE_MS', '150')}ms"
ADDRESSES = os.environ["UPSTREAMS"].split(",")


def admission() -> dict[str, Any]:
    """`off` keeps the caps and drops what decides by measurement; `on` adds a rate per client.

    Everything else has the default, which sheds. A revision from before admission has nothing.
    """
    if "Admission" not in tailrace.__all__:
        return {}
    given = {
        "off": {"shed": None, "brownout": None, "feasibility": None},
        "on": {"rate": tailrace.Rate(100_000)},
    }.get(CHOSEN)
    return {"admission": tailrace.Admission(**given)} if given else {}


def upstream(name: str, address: str) -> Upstream:
    """One upstream with the limits of every peer and the policies of this run."""
    return Upstream(name, address, timeout=TIMEOUT, bulkhead=400, **POLICIES[CHOSEN])


NAMES = ("orders", "users", "inventory", "coupons", "recommend")
orders, users, warehouse, coupons, recs = map(upstream, NAMES, ADDRESSES)

service = Service("order-view", deadline=DEADLINE, fanout=8, **admission())


@service.view("/api/orders/{order_id}")
class OrderView(View):
    """Order, user and stock decide the reply; coupon and recommendations may be absent."""

    order: Order = strong(orders.get("/orders/{order_id}"))
    user: User = strong(users.get("/users/{order_id}"))
    inventory: Inventory = strong(warehouse.get("/inventory/{order_id}"))
    coupon: Coupon | None = weak(coupons.get("/coupons/{order_id}"), default=None)
    recommend: Recommend = weak(recs.get("/recommend/{order_id}"), default=Recommend(items=[]))


@service.view("/api/buyers/{order_id}")
class BuyerView(View):
    """Neither the inventory nor the recommendations are asked."""

    order: Order = strong(orders.get("/orders/{order_id}"))
    user: User = strong(users.get("/users/{order_id}"))
    coupon: Coupon | None = weak(coupons.get("/coupons/{order_id}"), default=None)
