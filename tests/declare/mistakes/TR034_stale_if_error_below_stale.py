"""Stale anyhow, for longer than when it fails."""

from pydantic import BaseModel
from tailrace import Cache, Service, Upstream, View, strong


class Order(BaseModel):
    id: str


kept = Cache(ttl="2s", stale="30s", stale_if_error="10s")
orders = Upstream("orders", "http://orders:9001", cache=kept)
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
