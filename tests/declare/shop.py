"""The order example of the design, as a user writes it; several tests read it."""

from pydantic import BaseModel
from tailrace import Service, Upstream, View, header, path, query, strong, weak


class Item(BaseModel):
    sku: str
    quantity: int


class Order(BaseModel):
    id: str
    user_id: str
    items: list[Item]


class User(BaseModel):
    id: str
    name: str


class Stock(BaseModel):
    sku: str
    available: int


class Coupon(BaseModel):
    code: str
    percent: float


class Recommend(BaseModel):
    items: list[str]


orders = Upstream(
    "orders",
    "http://orders:9001",
    timeout="80ms",
    bulkhead=400,
    forward_headers=["Authorization"],
)
users = Upstream("users", "http://users:9002", timeout="60ms", bulkhead=400)
inventory = Upstream("inventory", "http://inventory:9003", timeout="50ms", bulkhead=400)
coupons = Upstream("coupons", ("http://coupons-a:9004", "http://coupons-b:9004/"))
recs = Upstream("recs", "http://recs:9005/base", timeout="60ms", body_max="64KiB")

service = Service("order-query", deadline="150ms", fanout=8)


@service.view("/api/orders/{order_id}")
class OrderView(View):
    order_id: str = path(max_length=64, pattern=r"^[\w-]+$")
    verbose: bool = query(default=False)
    tenant: str | None = header("X-Tenant", default=None)
    order: Order = strong(orders.get("/orders/{order_id}"))
    user: User = strong(users.get("/users/{order.user_id}"))
    stock: list[Stock] = strong(inventory.get("/stock/{item.sku}"), each="order.items", each_max=8)
    coupon: Coupon | None = weak(
        coupons.get(
            "/coupons/{order.user_id}",
            query={"v": "{verbose}", "from": "shop & co"},
            headers={"X-Tenant": "{tenant}"},
        )
    )
    recommend: Recommend = weak(
        recs.get("/recommend/{order.user_id}"), timeout="40ms", default=Recommend(items=[])
    )
