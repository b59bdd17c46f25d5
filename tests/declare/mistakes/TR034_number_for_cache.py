"""Seconds instead of a cache."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", cache=2)
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
