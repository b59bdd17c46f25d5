"""A way around the check that nobody could understand later."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Order(BaseModel):
    id: str
    skus: list[str]


class Stock(BaseModel):
    left: int


orders = Upstream("orders", "http://orders:9001", timeout="80ms")
stocks = Upstream("stocks", "http://stocks:9003", timeout="60ms")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}", allow_overcommit=" ")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
