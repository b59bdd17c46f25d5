"""A field from inside the body."""

from pydantic import AliasPath, BaseModel, Field
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    city: str = Field(validation_alias=AliasPath("address", "city"))


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
