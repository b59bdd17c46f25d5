"""A setting that changes text."""

from pydantic import BaseModel, ConfigDict
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)
    name: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
