"""A hedge that starts when the call is over."""

from pydantic import BaseModel
from tailrace import Hedge, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", timeout="80ms", hedge=Hedge(delay_min="80ms"))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
