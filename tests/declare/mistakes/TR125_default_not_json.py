"""A default that is no JSON."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    score: float = float("inf")


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
