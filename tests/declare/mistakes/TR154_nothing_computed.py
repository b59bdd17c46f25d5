"""Bounds of computed fields in a view that has none."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong
from tailrace.policies import Computed


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}", computed=Computed(time="5ms"))
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
