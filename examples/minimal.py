"""The smallest useful service: an order that must be there, and a coupon that may be missing."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong, weak


class Order(BaseModel):
    id: str
    user_id: str
    total: str


class Coupon(BaseModel):
    code: str


orders = Upstream("orders", "http://127.0.0.1:9001", timeout="80ms", bulkhead=100)
coupons = Upstream("coupons", "http://127.0.0.1:9004", timeout="40ms", bulkhead=100)
service = Service("minimal", deadline="150ms", fanout=4)


@service.view("/orders/{order_id}")
class OrderPage(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
    coupon: Coupon | None = weak(coupons.get("/coupons/{order.user_id}"))
