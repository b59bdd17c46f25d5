"""Two parts that bring the same field."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Draft(BaseModel):
    user_id: str
    coupon: str | None = None


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders")
class OrderView(View):
    order: Order = strong(orders.get("/orders/1"), merge=True)
    id: Draft = strong(orders.get("/drafts/1"))
