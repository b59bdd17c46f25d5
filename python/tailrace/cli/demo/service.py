"""The order service of the demo: one page of an order from five simulated upstreams
(req 10.1).

Addresses are those of a lab on its usual ports; the demo overrides them by environment. Every part
is asked for by the order's id, at once, because that is what the naive service does: both make the
same calls, so that only the governing differs. Recommendations get the least time: nobody waits
for them.
"""

from tailrace import Service, Upstream, View, strong, weak
from tailrace.cli.demo.models import Coupon, Inventory, Order, Recommend, User

orders = Upstream("orders", "http://127.0.0.1:9101", timeout="70ms", bulkhead=64)
users = Upstream("users", "http://127.0.0.1:9102", timeout="60ms", bulkhead=64)
warehouse = Upstream("inventory", "http://127.0.0.1:9103", timeout="60ms", bulkhead=64)
coupons = Upstream("coupons", "http://127.0.0.1:9104", timeout="50ms", bulkhead=64)
recs = Upstream("recommend", "http://127.0.0.1:9105", timeout="40ms", bulkhead=64)

service = Service("order-query", deadline="150ms", fanout=8)


@service.view("/api/orders/{order_id}")
class OrderView(View):
    """The order page: it needs the order, its buyer and its stock; the rest is welcome."""

    order: Order = strong(orders.get("/orders/{order_id}"))
    user: User = strong(users.get("/users/{order_id}"))
    inventory: Inventory = strong(warehouse.get("/inventory/{order_id}"))
    coupon: Coupon | None = weak(coupons.get("/coupons/{order_id}"))
    recommend: Recommend = weak(recs.get("/recommend/{order_id}"), default=Recommend(items=[]))
