"""What is missing is believed for longer than what is there."""

from pydantic import BaseModel
from tailrace import Cache, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", cache=Cache(ttl="2s", negative="3s"))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
