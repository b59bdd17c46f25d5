"""The order service (req 10.1): one page of an order from five upstreams, within 150 ms.

Run it with `tailrace serve examples.orders.service:service`; `make example` also starts the
upstreams and checks what it answers.

Timeouts. The longest chain is order, then user: 70 + 60 ms, which leaves 20 ms of the deadline for
everything that is not waiting. Recommendations get less than the others: nobody waits for them.

Bulkheads (req 10.5): calls in flight = rate x mean time. `examples/orders/upstreams` on two cores
answer one call at a time in 0.2 ms (orders 0.3), and with 8 in flight each serves 6 100 to 7 000
calls a second with a mean of 1.1 to 1.3 ms and a P99 of 2.6. A replica is meant to carry 1 000
requests a second: 1 000/s x 1.3 ms is 1.3 calls in flight. That is the mean of a good day; 32 lets
an upstream be 25 times slower (1 000/s x 32 ms) before calls queue, and bounds what a hanging one
can hold. Inventory also serves the stock view, up to six calls per request, hence twice as much.
Measure again before you copy these: they belong to these upstreams on that machine.
"""

from tailrace import Service, Upstream, View, strong, weak

from .models import Coupon, Inventory, Order, Recommend, Stock, User

orders = Upstream("orders", "http://127.0.0.1:9001", timeout="70ms", bulkhead=32)
users = Upstream("users", "http://127.0.0.1:9002", timeout="60ms", bulkhead=32)
warehouse = Upstream("inventory", "http://127.0.0.1:9003", timeout="60ms", bulkhead=64)
coupons = Upstream("coupons", "http://127.0.0.1:9004", timeout="50ms", bulkhead=32)
recs = Upstream("recommend", "http://127.0.0.1:9005", timeout="40ms", bulkhead=32)

service = Service("order-query", deadline="150ms", fanout=8)


@service.view("/api/orders/{order_id}")
class OrderView(View):
    """The order page: it needs the order, its buyer and its stock; the rest is welcome."""

    order: Order = strong(orders.get("/orders/{order_id}"))
    user: User = strong(users.get("/users/{order.user_id}"))
    inventory: Inventory = strong(warehouse.get("/inventory/{order_id}"))
    coupon: Coupon | None = weak(coupons.get("/coupons/{order.user_id}"))
    recommend: Recommend = weak(recs.get("/recommend/{order.user_id}"), default=Recommend(items=[]))


@service.view("/api/orders/{order_id}/stock")
class StockView(View):
    """Where each line of an order can be had now: one call per item, bounded."""

    order: Order = strong(orders.get("/orders/{order_id}"))
    stock: list[Stock] = strong(warehouse.get("/stock/{item.sku}"), each="order.items", each_max=6)
