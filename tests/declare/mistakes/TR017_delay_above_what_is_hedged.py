"""A delay at which the plane hedges nothing."""

from pydantic import BaseModel
from tailrace import Hedge, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", timeout="5s", hedge=Hedge(delay_min="2s"))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
