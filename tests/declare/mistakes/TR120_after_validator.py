"""An annotated type with a validator."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    quantity: Annotated[int, AfterValidator(abs)]


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
