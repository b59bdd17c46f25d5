"""A model with a computed field."""

from pydantic import BaseModel, computed_field
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    quantity: int

    @computed_field
    def double(self) -> int:
        return self.quantity * 2


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
