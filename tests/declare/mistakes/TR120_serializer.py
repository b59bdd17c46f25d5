"""A model with a custom serializer."""

from pydantic import BaseModel, field_serializer
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    quantity: int

    @field_serializer("quantity")
    def text(self, value: int) -> str:
        return str(value)


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
