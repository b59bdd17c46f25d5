"""A value where a call belongs."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, weak


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order | None = weak(orders.get("/orders/{order_id}"), otherwise="/archive")
