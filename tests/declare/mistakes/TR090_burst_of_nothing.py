"""A burst that lets nobody in."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong
from tailrace.policies import Admission, Rate


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms", admission=Admission(rate=Rate(10, burst=0)))


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
