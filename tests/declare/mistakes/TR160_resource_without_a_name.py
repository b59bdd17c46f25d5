"""An attribute nobody can ask for."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong
from tailrace.policies import Tracing


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms", tracing=Tracing(resource={"": "production"}))


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
