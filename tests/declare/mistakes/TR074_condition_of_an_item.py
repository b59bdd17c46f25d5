"""A condition that reads the item."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, body, strong


class Draft(BaseModel):
    user_id: str
    coupon: str | None = None


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


class Cart(BaseModel):
    lines: list[Draft]


@service.view("/orders", method="POST")
class OrderView(View):
    cart: Cart = body()
    order: list[Order] = strong(
        orders.get("/orders/{item.user_id}"),
        each="cart.lines",
        when="item.coupon",
    )
