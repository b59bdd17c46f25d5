"""An idempotency key that may be absent."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, body, header, strong


class Draft(BaseModel):
    user_id: str
    coupon: str | None = None


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders", method="POST")
class OrderView(View):
    draft: Draft = body()
    key: str | None = header("Idempotency-Key")
    order: Order = strong(orders.post("/orders", json="{draft}", idempotency_key="{key}"))
