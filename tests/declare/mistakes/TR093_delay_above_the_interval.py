"""A queue that may be a second late."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong
from tailrace.policies import Admission, Shed


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms", admission=Admission(shed=Shed(delay="1s")))


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
