"""A model that runs code after construction."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong


class Thing(BaseModel):
    quantity: int

    def model_post_init(self, context: object) -> None:
        self.quantity += 1


orders = Upstream("orders", "http://orders:9001")
service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    thing: Thing = strong(orders.get("/things/{order_id}"))
