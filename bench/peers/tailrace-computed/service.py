"""The declared order view with one field that Python makes, which reads two of the five parts.

All else is that of `peers/tailrace`, so that the difference is what the field costs: one entry of
the interpreter, two models made of JSON, a few lines of code, and the way there and back.
"""

from __future__ import annotations

import os

from models import Coupon, Inventory, Order, Recommend, User
from tailrace import Service, Upstream, View, computed, strong, weak

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

    @computed
    def in_stock(self) -> bool:
        available = {line.sku: line.available for line in self.inventory.lines}
        return all(available.get(item.sku, 0) >= item.quantity for item in self.order.items)
