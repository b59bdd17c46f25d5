"""A part whose values could be anything."""

from typing import Any

from tailrace import Service, Upstream, View, strong

orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order: dict[str, Any] = strong(orders.get("/orders/{order_id}"))
