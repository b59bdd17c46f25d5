"""A limit that begins below its least."""

from pydantic import BaseModel
from tailrace import AdaptiveLimit, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", adaptive=AdaptiveLimit(min=30, init=10))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
