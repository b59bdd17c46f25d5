"""A merged field with a name of the envelope."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Draft(BaseModel):
    user_id: str
    coupon: str | None = None


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


class Seen(BaseModel):
    request_id: str


@service.view("/orders")
class OrderView(View):
    order: Order = strong(orders.get("/orders/1"))
    seen: Seen = strong(orders.get("/seen/1"), merge=True)
