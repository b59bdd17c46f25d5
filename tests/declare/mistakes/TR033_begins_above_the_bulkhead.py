"""A limit that begins where it may never be."""

from pydantic import BaseModel
from tailrace import AdaptiveLimit, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", bulkhead=40, adaptive=AdaptiveLimit(init=50))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
