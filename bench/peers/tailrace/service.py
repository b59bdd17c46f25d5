"""The order view as tailrace declares it, under the benchmark's own upstreams.

Validation, projection, bulkheads, deadlines, metrics and access log are on, as they are by default.
The five calls are parallel, as in every peer: none waits for another's answer.
"""

from __future__ import annotations

import os

from models import Coupon, Inventory, Order, Recommend, User
from tailrace import Service, Upstream, View, strong, weak

ORDERS, USERS, INVENTORY, COUPONS, RECOMMEND = os.environ["UPSTREAMS"].split(",")

orders = Upstream("orders", ORDERS, timeout="100ms", bulkhead=400)
users = Upstream("users", USERS, timeout="100ms", bulkhead=400)
warehouse = Upstream("inventory", INVENTORY, timeout="100ms", bulkhead=400)
coupons = Upstream("coupons", COUPONS, timeout="100ms", bulkhead=400)
recs = Upstream("recommend", RECOMMEND, timeout="100ms", bulkhead=400)

service = Service("order-view", deadline="150ms", fanout=8)


@service.view("/api/orders/{order_id}")
class OrderView(View):
    """Order, user and stock decide the reply; coupon and recommendations may be absent."""

    order: Order = strong(orders.get("/orders/{order_id}"))
    user: User = strong(users.get("/users/{order_id}"))
    inventory: Inventory = strong(warehouse.get("/inventory/{order_id}"))
    coupon: Coupon | None = weak(coupons.get("/coupons/{order_id}"), default=None)
    recommend: Recommend = weak(recs.get("/recommend/{order_id}"), default=Recommend(items=[]))
