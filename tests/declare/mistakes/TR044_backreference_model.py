"""A back-reference in a model's pattern, run by Python's engine elsewhere."""

from pydantic import BaseModel, ConfigDict, Field
from tailrace import Service, Upstream, View, strong


class Pair(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")
    text: str = Field(pattern=r"(a)\1")


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    pair: Pair = strong(orders.get("/orders/{order_id}"))
