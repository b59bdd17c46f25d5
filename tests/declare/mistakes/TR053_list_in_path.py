"""A list in a path."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Item(BaseModel):
    sku: str


class Order(BaseModel):
    id: str
    user_id: str
    items: list[Item]


class User(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
users = Upstream("users", "http://users:9002")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
    user: User = strong(users.get("/users/{order.items}"))
