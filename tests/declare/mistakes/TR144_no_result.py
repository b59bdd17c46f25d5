"""A handler that does not say what it returns."""

from pydantic import BaseModel
from tailrace import Service, Upstream


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.get("/orders/{order_id}/summary")
async def summary(order_id: str):
    return await orders.get("/orders/{id}", Order, id=order_id)
