"""A model with a model validator."""

from pydantic import BaseModel, model_validator
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    quantity: int

    @model_validator(mode="after")
    def whole(self) -> "Thing":
        return self


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
