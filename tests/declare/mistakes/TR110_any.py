"""A part that could be anything."""

from typing import Any

from tailrace import Service, Upstream, View, strong

orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: Any = strong(orders.get("/orders/{order_id}"))
