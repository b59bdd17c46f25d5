"""A form read from requests that have none."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, form, strong


class Draft(BaseModel):
    user_id: str
    coupon: str | None = None


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders", method="DELETE")
class OrderView(View):
    user_id: str = form()
    order: Order = strong(orders.delete("/orders/{user_id}"))
