"""A view that answers nothing."""

from tailrace import Service, View, path

service = Service("shop", deadline="150ms")


@service.view("/orders/{order_id}")
class OrderView(View):
    order_id: str = path()
