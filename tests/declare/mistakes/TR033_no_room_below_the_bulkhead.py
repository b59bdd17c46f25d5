"""A limit that cannot move."""

from pydantic import BaseModel
from tailrace import AdaptiveLimit, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", bulkhead=4, adaptive=AdaptiveLimit(min=4))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
