"""A fraction of an attempt."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}", extra_attempts=1.5)
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
