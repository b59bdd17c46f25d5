"""The last part goes before the first."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong
from tailrace.policies import Admission, Brownout


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms", admission=Admission(brownout=Brownout(full="50%")))


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
