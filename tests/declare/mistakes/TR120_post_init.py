"""A dataclass that runs code."""

import dataclasses

from tailrace import Service, Upstream, View, strong


@dataclasses.dataclass
class Thing:
    quantity: int

    def __post_init__(self) -> None:
        self.quantity += 1


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
