"""A handler that is a plain function."""

from pydantic import BaseModel
from tailrace import Service, Upstream


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.get("/orders/{order_id}/summary")
def summary(order_id: str) -> Order:
    return Order(id=order_id)
