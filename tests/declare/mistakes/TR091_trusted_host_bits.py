"""A network with bits behind its prefix."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong
from tailrace.policies import Admission


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms", admission=Admission(trusted=["10.1.2.3/8"]))


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
