"""A time no clock can tell."""

from pydantic import BaseModel
from tailrace import Cache, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", cache=Cache(ttl="0.0001ms"))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
