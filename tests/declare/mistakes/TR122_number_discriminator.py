"""A discriminator that is a number."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field
from tailrace import Service, Upstream, View, strong


class Card(BaseModel):
    kind: Literal[1]


class Cash(BaseModel):
    kind: Literal[2]


class Thing(BaseModel):
    paid: Annotated[Card | Cash, Field(discriminator="kind")]


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
