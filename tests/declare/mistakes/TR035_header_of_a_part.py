"""A header that says who asks, cached without a word about it."""

from pydantic import BaseModel
from tailrace import Cache, Service, Upstream, View, header, strong


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001", cache=Cache(ttl="2s"))
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    tenant: str = header("x-tenant")
    order: Order = strong(orders.get("/orders/{order_id}", headers={"x-for": "{tenant}"}))
