"""The order view as a handler: the same five calls, awaited together, pydantic models in and out.

Everything the declared view has is on: the plane validates and projects each answer, Python makes
models of them and writes the reply's model.
"""

from __future__ import annotations

import os
import time

from models import Coupon, Inventory, Order, Recommend, User
from pydantic import BaseModel
from tailrace import Scope, Service, Upstream

ORDERS, USERS, INVENTORY, COUPONS, RECOMMEND = os.environ["UPSTREAMS"].split(",")

orders = Upstream("orders", ORDERS, timeout="100ms", bulkhead=400)
users = Upstream("users", USERS, timeout="100ms", bulkhead=400)
warehouse = Upstream("inventory", INVENTORY, timeout="100ms", bulkhead=400)
coupons = Upstream("coupons", COUPONS, timeout="100ms", bulkhead=400)
recs = Upstream("recommend", RECOMMEND, timeout="100ms", bulkhead=400)

service = Service("order-view", deadline="150ms", fanout=8)


class OrderView(BaseModel):
    order: Order
    user: User
    inventory: Inventory
    coupon: Coupon | None
    recommend: Recommend
    degraded: list[str]
    request_id: str
    served_at_ms: int


@service.get("/api/orders/{order_id}", limit=512)
async def order_view(order_id: str, scope: Scope) -> OrderView:
    """Order, user and stock decide the reply; coupon and recommendations may be absent."""
    order, user, inventory, coupon, recommend = await scope.all(
        orders.get("/orders/{id}", Order, id=order_id),
        users.get("/users/{id}", User, id=order_id),
        warehouse.get("/inventory/{id}", Inventory, id=order_id),
        scope.weak(coupons.get("/coupons/{id}", Coupon, id=order_id), name="coupon"),
        scope.weak(
            recs.get("/recommend/{id}", Recommend, id=order_id), default=Recommend(items=[])
        ),
    )
    return OrderView(
        order=order,
        user=user,
        inventory=inventory,
        coupon=coupon,
        recommend=recommend,
        degraded=[name for name, _ in scope.degraded],
        request_id=scope.request_id,
        served_at_ms=time.time_ns() // 1_000_000,
    )
