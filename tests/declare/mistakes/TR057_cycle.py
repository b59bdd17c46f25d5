"""Three parts that wait for each other."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class User(BaseModel):
    id: str


users = Upstream("users", "http://users:9002")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    a: User = strong(users.get("/a/{b.id}"))
    b: User = strong(users.get("/b/{c.id}"))
    c: User = strong(users.get("/c/{a.id}"))
