"""More attempts than a call in trouble should get."""

from pydantic import BaseModel
from tailrace import Retry, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", retry=Retry(attempts=6))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
