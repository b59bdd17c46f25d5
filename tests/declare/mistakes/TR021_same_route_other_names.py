"""One path, two methods, two names for its placeholder."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Draft(BaseModel):
    user_id: str
    coupon: str | None = None


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))


@service.view("/orders/{id}", method="DELETE")
class OrderGone(View):
    order: Order = strong(orders.delete("/orders/{id}"))
