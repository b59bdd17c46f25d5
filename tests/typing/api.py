"""Never run: mypy and pyright read it, both strict (`make types`). What users write must type-check
as they expect.

The failure prevented: a public signature that forces casts or `type: ignore` on users.
"""

from datetime import timedelta
from typing import Literal, assert_type

from pydantic import BaseModel
from tailrace import (
    AdaptiveLimit,
    Breaker,
    Bulkhead,
    CallFailed,
    Client,
    ConfigError,
    DeclarationError,
    Hedge,
    Raw,
    Retry,
    Scope,
    Service,
    TailraceError,
    Throttle,
    Upstream,
    View,
    computed,
    header,
    path,
    query,
    strong,
    weak,
)
from tailrace.asgi import Middleware
from tailrace.bound import BoundCall, Sourced
from tailrace.policies import Computed
from tailrace.streams import Stream
from tailrace.testing import (
    Answer,
    AsyncTestPlane,
    FakeUpstream,
    Pending,
    Received,
    Reply,
    TestPlane,
    after,
    hang,
    ok,
    slow,
    status,
)
from tailrace.upstream import Call


class Item(BaseModel):
    sku: str


class Order(BaseModel):
    id: str
    items: list[Item]


one = Upstream("one", "http://one:9001")
two = Upstream(
    "two",
    ("http://a:9001", "http://b:9001"),
    timeout=timedelta(milliseconds=80),
    bulkhead=Bulkhead(limit=4, queue=8),
    retry=Retry(attempts=3, backoff=timedelta(milliseconds=5), backoff_max="40ms", budget=0.2),
    hedge=Hedge(after="p99.5", extra="2%", delay_min="2ms"),
    forward_headers=["authorization"],
    body_max="1MiB",
)
service = Service("shop", deadline="150ms", fanout=8, extra_attempts=4)
once = Upstream("once", "http://once:1", retry=None, hedge=None)
guarded = Upstream(
    "guarded",
    "http://guarded:1",
    breaker=Breaker(consecutive=5, success_min="60%", slow="50ms", open=timedelta(seconds=2)),
    throttle=Throttle(factor=1.5, requests_min=20, reject_max=0.8),
    adaptive=AdaptiveLimit(min=2, init=10),
)
unguarded = Upstream("unguarded", "http://un:1", breaker=None, throttle=None, adaptive=None)


@service.view(
    "/orders/{order_id}", deadline=timedelta(seconds=1), fanout=2, extra_attempts=0, name="order"
)
class OrderView(View):
    order_id: str = path(max_length=64, pattern=r"^\w+$")
    verbose: bool = query(default=False)
    sort: Literal["up", "down"] = query(default="up")
    tenant: str | None = header("x-tenant", default=None)
    order: Order = strong(one.get("/orders/{order_id}", query={"v": "{verbose}"}))
    stock: list[Item | None] = weak(two.get("/s/{item.sku}"), each="order.items", default=[])
    blob: Raw = weak(two.get("/blob", headers={"x-tenant": "{tenant}"}), timeout="40ms")

    @computed
    def skus(self) -> list[str]:
        return [item.sku for item in self.order.items if self.verbose]

    @computed(default=0)
    def count(self) -> int:
        return len(self.skus) + sum(one is not None for one in self.stock)

    @computed(weak=True)
    def first(self) -> str | None:
        return self.skus[0]


assert_type(one.get("/orders"), Call)
# A computed field is its value, in the code of another one and in a test.
assert_type(OrderView(order=Order(id="o", items=[]), stock=[], verbose=True).count, int)
assert_type(OrderView(order=None).skus, list[str])
assert_type(OrderView().first, str | None)
# The decorator gives the class back as it was.
kept: type[OrderView] = OrderView
failed: type[TailraceError] = DeclarationError
wrong: type[TailraceError] = ConfigError

# A mistake that a type checker sees is seen: each line would be reported without its ignore.
Upstream("bare", "http://bare:1", timeout=80)  # type: ignore[arg-type]
Upstream("tries", "http://tries:1", retry=3)  # type: ignore[arg-type]
Retry(3)  # type: ignore[call-arg]
Hedge(after=95)  # type: ignore[arg-type]
Breaker(5)  # type: ignore[call-arg]
Breaker(open=5)  # type: ignore[arg-type]
Throttle(factor="2")  # type: ignore[arg-type]
AdaptiveLimit(max=9)  # type: ignore[call-arg]
Upstream("opens", "http://opens:1", breaker=7)  # type: ignore[arg-type]
Service("late")  # type: ignore[call-arg]
strong("/orders")  # type: ignore[arg-type]
computed(True)  # type: ignore[call-overload]
Computed("5ms")  # type: ignore[call-arg]
query(max_lenght=3)  # type: ignore[call-arg]


# Tests of users.
def made(request: Received) -> Answer:
    return ok({"id": request.params["id"]}, status=201)


fake = FakeUpstream({"/orders/{id}": made, "POST /orders": status(409)}).fault(slow("5ms"), times=2)
fake.on("/late", after(timedelta(milliseconds=5), hang())).well()
with TestPlane(
    service, {"two": [fake, fake]}, one=fake, overrides={"listen.workers": 2}, time_scale=10
) as plane:
    assert_type(plane, TestPlane)
    reply = plane.get("/orders/7", query={"q": "x"}, headers={"a": "b"})
    assert_type(reply, Reply)
    assert_type(reply.status, int)
    assert_type(reply.degraded, dict[str, str])
    assert_type(reply.code, str | None)
    assert_type(plane.upstreams["one"].received, list[Received])
    assert_type(fake.assert_received("GET /orders/7", times=1), Received)


with TestPlane(service, one=fake, clock="virtual") as plane:
    pending = plane.send("POST", "/orders", json={"id": 1})
    assert_type(pending, Pending)
    plane.advance("2s")
    plane.advance(timedelta(hours=1))
    assert_type(plane.time_ms, float)
    assert_type(pending.done, bool)
    assert_type(pending.reply(), Reply)


async def asynchronous() -> None:
    async with TestPlane(service, one={"/orders/{id}": {}}, clock="virtual") as plane:
        await plane.advance("2s")
        assert_type(plane, AsyncTestPlane)
        assert_type(await plane.request("POST", "/orders", json={"id": 1}), Reply)


fake.fault(500)  # type: ignore[arg-type]
after(5, hang())  # type: ignore[arg-type]
TestPlane(service, one=5)  # type: ignore[arg-type]
TestPlane(service, clock="fast")  # type: ignore[arg-type]


class Summary(BaseModel):
    order: Order


@service.get("/typed/{order_id}", limit=8)
async def typed(order_id: str, scope: Scope) -> Summary:
    call = one.get("/orders/{id}", Order, id=order_id, timeout="10ms")
    assert_type(call, BoundCall[Order])
    assert_type(await call, Order)
    first, other = await scope.all(call, scope.weak(call))
    assert_type(first, Order)
    assert_type(other, Order | None)
    instead = await scope.weak(call, default=7, name="seven")
    assert_type(instead, Order | int)
    assert_type(await one.get("/orders/{id}", bytes, id=1), bytes)
    assert_type(await one.get("/orders", list[Order]), list[Order])
    assert_type(await one.post("/orders", Order, json={"a": 1}), Order)
    assert_type(await one.delete("/orders/{id}", bytes, id=3), bytes)
    assert_type(one.put("/orders/{order_id}", json="{draft}"), Call)
    assert_type(scope.request_id, str)
    return Summary(order=first)


@service.get("/plain/{order_id}", threads=2)
def plain(order_id: str, scope: Scope) -> Order:
    return scope.wait(one.get("/orders/{id}", Order, id=order_id))


async def program() -> Order:
    async with Client(one, deadline="1s", workers=2) as client:
        order = await client.get(one, "/orders/{id}", Order, id="o", timeout="5ms")
        assert_type(order, Order)
        assert_type(await client.get(one, "/orders/{id}", bytes, id=2), bytes)
        return order


one.get("/orders/{id}", id=1)  # type: ignore[call-overload]
CallFailed("orders", "timeout", 504, None)


# The client, and the middleware of an ASGI app.
async def asgi_app(scope: object, receive: object, send: object) -> None: ...


async def clients(client: Client) -> None:
    assert_type(await client.get(one, "/orders/{id}", Order, id=1), Order)
    assert_type(await client.call(one.post("/orders", Order, json=Item(sku="a"))), Order)
    found = await client.all(
        one.get("/orders/{id}", Order, id=1),
        client.weak(two.get("/items/{id}", Item, id=1)),
        client.weak(two.get("/items/{id}", Item, id=1), default="none", name="item"),
    )
    assert_type(found, tuple[Order, Item | None, Item | str])
    many = [one.get("/orders/{id}", Order, id=n) for n in range(9)]
    assert_type(await client.all(*many), tuple[Order, ...])
    told = await client.call(client.sourced(one.get("/orders/{id}", Order, id=1)))
    assert_type(told, Sourced[Order])
    assert_type(told.value, Order)
    assert_type(told.source, Literal["fresh", "cached", "stale", "default", "missing"])
    assert_type((told.age_s, told.reason), tuple[int, str | None])
    both = await client.all(
        client.sourced(client.weak(two.get("/items/{id}", Item, id=1), default=7)),
        one.get("/orders/{id}", Order, id=1),
    )
    assert_type(both, tuple[Sourced[Item | int], Order])
    async with client.stream(one, "/export/{day}", day="x", body_max="1GiB") as answer:
        assert_type(answer, Stream)
        assert_type(answer.length, int | None)
        async for piece in answer:
            assert_type(piece, bytes)
        assert_type(await answer.read(), bytes)
    assert_type(client.is_open, bool)
    assert_type(Middleware(asgi_app, client, deadline="2s", metrics="/m").metrics(), str)


client_of_two = Client(one, two, deadline=timedelta(seconds=2), workers=2)
client_of_two.stream(one, "/x", body_max=5)  # type: ignore[arg-type]
client_of_two.weak("/x")  # type: ignore[call-overload]
client_of_two.sourced(one)  # type: ignore[arg-type]
Middleware(asgi_app, deadline=2)  # type: ignore[arg-type]
