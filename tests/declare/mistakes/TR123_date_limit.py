"""A limit on a date."""

import datetime

from pydantic import BaseModel, Field
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    day: datetime.date = Field(gt=datetime.date(2020, 1, 1))


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
