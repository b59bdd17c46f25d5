"""Answers of users, cached without a word about it."""

from pydantic import BaseModel
from tailrace import Cache, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream(
    "orders",
    "http://orders:9001",
    forward_headers=["traceparent", "authorization"],
    cache=Cache(ttl="2s"),
)
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
