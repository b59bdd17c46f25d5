"""Eight calls at a time to an upstream that takes eight."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Order(BaseModel):
    id: str
    skus: list[str]


class Stock(BaseModel):
    left: int


orders = Upstream("orders", "http://orders:9001", timeout="80ms")
stocks = Upstream("stocks", "http://stocks:9003", timeout="30ms", bulkhead=8)
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
    stock: list[Stock] = strong(stocks.get("/stock/{item}"), each="order.skus", each_max=16)
