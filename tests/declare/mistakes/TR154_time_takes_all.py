"""Computed fields that leave the parts no time."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, computed, strong
from tailrace.policies import Computed


class Order(BaseModel):
    id: str
    cents: int


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}", computed=Computed(time="150ms"))
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))

    @computed
    def total(self) -> int:
        return self.order.cents
