"""Items have nothing that stands in for them."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong, weak


class Line(BaseModel):
    id: str


class Order(BaseModel):
    items: list[Line]


orders = Upstream("orders", "http://orders:9001")
spare = Upstream("spare", "http://spare:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
    lines: list[Line | None] = weak(
        orders.get("/lines/{item.id}"),
        each="order.items",
        otherwise=spare.get("/lines"),
        default=[],
    )
