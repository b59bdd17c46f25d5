"""A throttle that judges by nothing."""

from pydantic import BaseModel
from tailrace import Service, Throttle, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", throttle=Throttle(requests_min=0))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
