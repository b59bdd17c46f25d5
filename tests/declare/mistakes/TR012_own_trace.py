"""A trace of the call's own, beside the one that every call carries."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, header, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", timeout="80ms")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    parent: str = header("traceparent")
    order: Order = strong(
        orders.get("/orders/{order_id}", headers={"traceparent": "{parent}"}),
    )
