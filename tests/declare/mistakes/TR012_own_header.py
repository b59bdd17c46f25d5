"""A forwarded header that the plane writes itself."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Item(BaseModel):
    sku: str


class Order(BaseModel):
    id: str
    user_id: str
    items: list[Item]


orders = Upstream("orders", "http://orders:9001", forward_headers=["X-Request-Id"])
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
