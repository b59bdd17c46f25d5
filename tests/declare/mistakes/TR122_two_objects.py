"""Two models without a discriminator."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Card(BaseModel):
    number: str


class Cash(BaseModel):
    amount: int


class Thing(BaseModel):
    paid: Card | Cash


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
