"""A view that needs more than all may."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong, weak
from tailrace.policies import Admission


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms", admission=Admission(calls_max=1))


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
    more: Order | None = weak(orders.get("/more/{order_id}"))
