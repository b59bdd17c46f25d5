"""A parameter of a handler that nothing fills."""

from pydantic import BaseModel
from tailrace import Service, Upstream


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.get("/orders/{order_id}/summary")
async def summary(order_id: str, page: int) -> Order:
    return await orders.get("/orders/{id}", Order, query={"page": "{page}"}, id=order_id, page=page)
