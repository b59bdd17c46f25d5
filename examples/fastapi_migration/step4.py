"""Step 4, where a route is worth it: the same page as a declared view, which runs without Python.

`tailrace serve examples/fastapi_migration/step4.py`. The other routes of the app stay where they
are: a gateway, or the app itself, sends `/orders/{id}/page` here.
"""

import os

from tailrace import Service, Upstream, View, strong, weak

from examples.fastapi_migration.models import Coupon, Order, User

orders = Upstream("orders", os.environ.get("ORDERS", "http://127.0.0.1:9001"), timeout="1s")
users = Upstream("users", os.environ.get("USERS", "http://127.0.0.1:9002"), timeout="1s")
coupons = Upstream("coupons", os.environ.get("COUPONS", "http://127.0.0.1:9003"), timeout="1s")
service = Service("order-page", deadline="5s")


@service.view("/orders/{order_id}/page")
class OrderPage(View):
    """The page of one order."""

    order: Order = strong(orders.get("/orders/{order_id}"))
    user: User = strong(users.get("/users/{order.user_id}"))
    coupon: Coupon | None = weak(coupons.get("/coupons/{order.user_id}"))
