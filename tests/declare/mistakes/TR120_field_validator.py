"""A model with a field validator."""

from pydantic import BaseModel, field_validator
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    quantity: int

    @field_validator("quantity")
    @classmethod
    def positive(cls, value: int) -> int:
        return abs(value)


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
