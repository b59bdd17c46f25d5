"""A handler that does not take what its route names."""

from pydantic import BaseModel
from tailrace import Service, Upstream


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.get("/orders/{order_id}/summary")
async def summary() -> Order:
    return await orders.get("/latest", Order)
