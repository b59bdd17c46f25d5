"""A computed field in a view whose reply is a list."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, computed, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders", collection="orders")
class OrdersView(View):
    orders: list[Order] = strong(orders.get("/orders"))

    @computed
    def count(self) -> int:
        return len(self.orders)
