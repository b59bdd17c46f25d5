"""Finer than any clock."""

from pydantic import BaseModel
from tailrace import Retry, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


patient = Retry(attempt_timeout="0.5us")
orders = Upstream("orders", "http://orders:9001", timeout="80ms", retry=patient)
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
