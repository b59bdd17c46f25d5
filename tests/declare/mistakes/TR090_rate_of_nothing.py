"""A rate that lets nobody in."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong
from tailrace.policies import Rate


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}", rate=Rate(0))
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
