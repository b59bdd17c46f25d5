"""A burst that takes days to come back."""

from pydantic import BaseModel
from tailrace import Rate, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", rate=Rate(0.01, burst=5000))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
