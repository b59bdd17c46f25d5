"""A hedge without a place for its second attempt."""

from pydantic import BaseModel
from tailrace import Hedge, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", bulkhead=1, hedge=Hedge())
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
