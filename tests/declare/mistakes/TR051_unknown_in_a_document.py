"""A document that names nothing."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, body, strong


class Draft(BaseModel):
    user_id: str
    coupon: str | None = None


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders", method="POST")
class OrderView(View):
    draft: Draft = body()
    order: Order = strong(orders.post("/orders", json={"user": "{drafft.user_id}"}))
