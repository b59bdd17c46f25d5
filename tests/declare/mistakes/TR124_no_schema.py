"""A class that pydantic cannot read."""

from tailrace import Service, Upstream, View, strong


class Thing:
    pass


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
