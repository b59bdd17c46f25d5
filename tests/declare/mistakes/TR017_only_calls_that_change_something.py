"""A hedge of calls of which two are not one."""

from pydantic import BaseModel
from tailrace import Hedge, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", hedge=Hedge())
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}", method="POST")
class PlaceOrder(View):
    order: Order = strong(orders.post("/orders/{order_id}"))
