"""An idempotency key beside one that is passed on."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, header, strong


class Draft(BaseModel):
    user_id: str
    coupon: str | None = None


class Order(BaseModel):
    id: str


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


carts = Upstream("carts", "http://carts:9001", forward_headers=["idempotency-key"])


@service.view("/orders", method="POST")
class OrderView(View):
    key: str = header("Idempotency-Key")
    order: Order = strong(carts.post("/orders", json={}, idempotency_key="{key}"))
