"""What a POST answered, kept."""

from pydantic import BaseModel
from tailrace import Cache, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}", method="POST")
class OrderView(View):
    order: Order = strong(orders.post("/orders/{order_id}"), cache=Cache(ttl="2s"))
