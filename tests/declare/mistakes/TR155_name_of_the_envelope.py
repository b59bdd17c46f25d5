"""A computed field with the name of a field of the envelope."""

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

    @computed
    def request_id(self) -> str:
        return self.order.id
