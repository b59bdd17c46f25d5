"""A burst that takes days to come back."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong
from tailrace.policies import Rate


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", rate=Rate(0.01, burst=5000))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
