"""A weak computed field with nothing to stand in."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, computed, strong


class Order(BaseModel):
    id: str
    cents: int


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))

    @computed(weak=True)
    def total(self) -> int:
        return self.order.cents
