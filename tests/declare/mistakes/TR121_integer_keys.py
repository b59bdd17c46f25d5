"""A dict with keys that JSON does not have."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    counts: dict[int, str]


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
