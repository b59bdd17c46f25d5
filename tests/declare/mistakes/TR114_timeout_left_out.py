"""The default timeout of an upstream is longer than the deadline."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Order(BaseModel):
    id: str
    skus: list[str]


class Stock(BaseModel):
    left: int


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
