"""A header parameter in the query, cached by the part."""

from pydantic import BaseModel
from tailrace import Cache, Service, Upstream, View, header, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    tenant: str = header("x-tenant")
    order: Order = strong(
        orders.get("/orders/{order_id}", query={"for": "{tenant}"}), cache=Cache(ttl="2s")
    )
