"""`tailrace.testing`: the fakes do what they say, and the plane over them is the real one."""

import asyncio
import contextlib
import dataclasses
import http.client
import re
import subprocess
import sys
import threading

import pytest
from pydantic import BaseModel, Field
from tailrace import Cache, Retry, Scope, Service, Upstream, View, query, strong, weak
from tailrace.testing import (
    Answer,
    FakeUpstream,
    Received,
    TestPlane,
    after,
    broken_json,
    empty,
    hang,
    html,
    ok,
    raw,
    reset,
    slow,
    status,
    truncated,
)

pytestmark = pytest.mark.e2e


class Order(BaseModel):
    id: str
    user_id: str = Field(alias="userId")


class Coupon(BaseModel):
    code: str


orders = Upstream("orders", "http://orders.invalid:9001", timeout="5s", retry=None)
coupons = Upstream("coupon-shop", "http://coupons.invalid:9004", timeout="5s", retry=None)
service = Service("shop", deadline="10s")


@service.view("/orders/{order_id}")
class OrderView(View):
    lang: str = query(default="en")
    order: Order = strong(orders.get("/orders/{order_id}", query={"lang": "{lang}"}))
    coupon: Coupon | None = weak(coupons.get("/coupons/{order.user_id}"))


def order(request: Received) -> object:
    return {"id": request.params["id"], "userId": "u 1"}


def shop(**changed: object) -> TestPlane:
    routes = {"orders": {"/orders/{id}": order}, "coupon_shop": {"/coupons/{id}": {"code": "c"}}}
    return TestPlane(service, **{**routes, **changed})  # type: ignore[arg-type]


def test_a_reply_is_what_the_service_says() -> None:
    with shop() as plane:
        reply = plane.get("/orders/7", headers={"x-request-id": "mine"})
        assert reply.status == 200
        assert reply.json()["order"] == {"id": "7", "user_id": "u 1"}
        assert reply.json()["coupon"] == {"code": "c"}
        assert (reply.degraded, reply.code) == ({}, None)
        assert reply.headers["X-Request-ID"] == "mine"
        assert plane.get("/nowhere").code == "no_route"
        head = plane.request("HEAD", "/orders/7")
        assert (head.status, head.body) == (200, b"")


def test_what_an_upstream_received_can_be_asked_for() -> None:
    with shop() as plane:
        plane.get("/orders/a%2Fb", query={"lang": "x y"})
        fake = plane.upstreams["orders"]
        seen = fake.assert_received("GET /orders/a%2Fb", times=1, query={"lang": "x y"})
        assert seen.params == {"id": "a/b"}
        assert seen.headers["accept"] == "application/json"
        plane.upstreams["coupon-shop"].assert_received("/coupons/u%201")
        assert (fake.calls(), fake.calls("/orders/{id}")) == (1, 1)
        with pytest.raises(AssertionError, match=r"never; it received:\n  GET /orders/a%2Fb"):
            fake.assert_received("GET /orders/8")
        with pytest.raises(AssertionError, match="1 times, not 2"):
            fake.assert_received("GET /orders/a%2Fb", times=2)
        with pytest.raises(AssertionError, match="with headers"):
            fake.assert_received("GET /orders/a%2Fb", headers={"accept": "text/html"})
        with pytest.raises(AssertionError, match="1 request came"):
            fake.assert_not_called()
        with pytest.raises(ValueError, match=r"`/order` is not scripted; routes: `/orders/{id}`"):
            fake.calls("/order")


FAULTS: list[Answer] = [
    hang(),
    reset(),
    truncated({"code": "long enough"}),
    html(),
    broken_json(),
    raw(b'{"code": 5}'),
    status(404),
    status(410),
    status(429),
    status(500, {"error": "x"}),
    status(302, headers={"location": "/elsewhere"}),
    ok({"code": "late"}, status=503),
]


# req 8.1, 10.3: each word a fake knows ends in the reason it names, weak and strong.
@pytest.mark.parametrize("fault", FAULTS, ids=[one.name for one in FAULTS])
def test_a_fault_ends_in_the_reason_it_names(fault: Answer) -> None:
    reason = "model_mismatch" if fault.name == "raw" else fault.reason
    assert reason is not None
    # Only what never answers may meet its timeout, however slow the machine that runs this.
    timeout = "50ms" if reason == "timeout" else "5s"
    overrides = {"upstreams.coupon-shop.timeout": timeout}
    with shop(overrides=overrides) as plane:
        plane.fault("coupon-shop", fault)
        reply = plane.get("/orders/7")
        assert (reply.status, reply.degraded) == (200, {"coupon": reason})
        assert reply.json()["coupon"] is None
        if reason != "timeout":  # Nor may an answer that is due within the 50 ms decide.
            plane.upstreams["coupon-shop"].well()
            assert plane.get("/orders/7").degraded == {}
    overrides = {"upstreams.orders.timeout": timeout}
    routes: dict[str, object] = {"/orders/{id}": order}
    with TestPlane(service, {"orders": routes, "coupon-shop": {}}, overrides=overrides) as plane:
        plane.fault("orders", fault)
        reply = plane.get("/orders/7")
        assert (reply.status, reply.code) == (
            {"timeout": 504, "not_found": 404, "gone": 410}.get(reason, 502),
            reason,
        )
        plane.upstreams["coupon-shop"].assert_not_called()


def test_an_empty_answer_is_no_failure() -> None:
    with shop(coupon_shop={"/coupons/{id}": empty()}) as plane:
        reply = plane.get("/orders/7")
        assert (reply.json()["coupon"], reply.degraded) == (None, {})


def test_answers_come_in_turn_and_the_last_one_stays() -> None:
    fake = FakeUpstream().on("/coupons/{id}", status(500), {"code": "second"})
    with shop(coupon_shop=fake) as plane:
        seen = [plane.get("/orders/7").degraded for _ in range(3)]
    assert seen == [{"coupon": "server_error"}, {}, {}]


def test_a_fault_may_be_over_after_some_calls() -> None:
    retried = Upstream("retried", "http://retried.invalid", timeout="5s", retry=Retry(attempts=2))
    tries = Service("tries", deadline="10s")

    @tries.view("/x")
    class Tries(View):
        x: Coupon = strong(retried.get("/x"))

    with TestPlane(tries, retried={"/x": {"code": "c"}}) as plane:
        plane.fault("retried", reset(), times=1)
        assert plane.get("/x").status == 200
        assert plane.upstreams["retried"].calls() == 2
        assert plane.metric("tailrace_requests_total", view="tries", status="200") == 1


def test_slow_delays_and_after_answers_late() -> None:
    with shop(overrides={"upstreams.coupon-shop.timeout": "50ms"}) as plane:
        plane.fault("coupon-shop", slow("5s"))
        assert plane.get("/orders/7").degraded == {"coupon": "timeout"}
        plane.upstreams["coupon-shop"].well().on("/coupons/{id}", after("5s", ok({"code": "c"})))
        assert plane.get("/orders/7").degraded == {"coupon": "timeout"}
        plane.upstreams["coupon-shop"].on("/coupons/{id}", after("1ms", ok({"code": "c"})))
    with shop() as plane:
        plane.fault("orders", slow("1ms"))
        assert plane.get("/orders/7").status == 200


def test_time_can_be_stretched() -> None:
    fake = FakeUpstream({"/coupons/{id}": after("80ms", ok({"code": "c"}))})
    routes: dict[str, object] = {"/orders/{id}": order}
    fakes = {"orders": routes, "coupon-shop": fake}
    overrides = {"upstreams.coupon-shop.timeout": "50ms"}
    with TestPlane(service, fakes, overrides=overrides, time_scale=200) as plane:
        assert plane.get("/orders/7").degraded == {}
        assert plane.metric("tailrace_part_results_total", part="coupon", result="ok") == 1


def test_several_addresses_are_several_fakes() -> None:
    routes: dict[str, object] = {"/orders/{id}": order}
    pair = [FakeUpstream(routes), FakeUpstream(routes)]
    with shop(orders=pair, clock="virtual") as plane:
        plane.fault("orders", slow("5ms"))
        # All at once: one after the other would all go to the one that was quicker by chance.
        for waiting in [plane.send("GET", "/orders/7") for _ in range(20)]:
            assert waiting.reply().status == 200
        assert sum(fake.calls() for fake in pair) == 20
        assert min(fake.calls() for fake in pair) > 0


def test_an_unscripted_path_is_loud() -> None:
    with shop(coupon_shop={"/coupon/{id}": {"code": "c"}}) as plane:
        assert plane.get("/orders/7").degraded == {"coupon": "server_error"}
        assert plane.upstreams["coupon-shop"].unmatched == ["GET /coupons/u%201"]


def test_a_static_route_wins_and_a_method_may_be_named() -> None:
    fake = FakeUpstream({"/a/{id}": 1, "/a/b": 2, "POST /a/b": 3})
    with fake, contextlib.closing(http.client.HTTPConnection(fake.url[7:])) as connection:
        seen = []
        for method, path in (("GET", "/a/x"), ("GET", "/a/b"), ("POST", "/a/b")):
            connection.request(method, path, body=b"[1]" if method == "POST" else None)
            seen.append(connection.getresponse().read())
    # Of equal fit, the first that was scripted: `/a/b` takes any method.
    assert seen == [b"1", b"2", b"2"]
    assert fake.received[-1].json() == [1]


def test_models_are_answered_under_their_aliases() -> None:
    answer = ok(Order(id="7", userId="u"))
    assert answer.body == b'{"id":"7","userId":"u"}'

    @dataclasses.dataclass
    class Plain:
        a: int

    assert ok([Plain(1)]).body == b'[{"a":1}]'


def test_what_a_route_raises_reaches_the_test() -> None:
    def wrong(request: Received) -> object:
        raise LookupError(request.path)

    plane = shop(coupon_shop={"/coupons/{id}": wrong}).start()
    assert plane.get("/orders/7").degraded == {"coupon": "server_error"}
    with pytest.raises(LookupError, match="/coupons/u%201"):
        plane.stop()


def test_async_tests_await_and_the_loop_goes_on() -> None:
    async def story() -> tuple[int, bool]:
        async with shop() as plane:
            gate = asyncio.Event()

            def opened(_: Received) -> object:
                loop.call_soon_threadsafe(gate.set)
                return {"id": "7", "userId": "u"}

            loop = asyncio.get_running_loop()
            plane.upstreams["orders"].on("/orders/{id}", opened)
            asking = asyncio.create_task(plane.get("/orders/7"))
            await asyncio.wait_for(gate.wait(), 10)
            return (await asking).status, plane.url.startswith("http://127.0.0.1:")

    assert asyncio.run(story()) == (200, True)


def test_handlers_run_too() -> None:
    both = Service("both", deadline="10s", upstreams=[orders])

    @both.get("/sum/{order_id}")
    async def total(order_id: str, scope: Scope) -> Coupon:
        found = await orders.get("/orders/{id}", Order, id=order_id)
        return Coupon(code=f"{found.user_id}/{scope.request_id}")

    routes: dict[str, object] = {"/orders/{id}": order}
    with TestPlane(both, {"orders": routes, "coupon-shop": {}}) as plane:
        reply = plane.get("/sum/7", headers={"x-request-id": "r"})
        assert (reply.status, reply.json()) == (200, {"code": "u 1/r"})
        plane.fault("orders", status(404))
        assert plane.get("/sum/8").code == "not_found"
    left = {thread.name for thread in threading.enumerate()}
    assert not left & {"tailrace-python", "fake-upstream"}


def test_a_hanging_call_is_waited_for_and_ends_with_the_plane() -> None:
    before = threading.active_count()
    fake = FakeUpstream().fault(hang())
    with shop(orders=fake) as plane:

        def ask() -> None:
            with contextlib.suppress(http.client.HTTPException, OSError):
                plane.get("/orders/7")

        asking = threading.Thread(target=ask)
        asking.start()
        fake.wait_for(1)
    asking.join(20)
    assert not asking.is_alive()
    assert threading.active_count() == before
    with pytest.raises(TimeoutError, match="1 request came, not 2"):
        fake.wait_for(2, patience="1ms")


def test_mistakes_are_named_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"no fake for `coupon-shop`.*give coupon_shop="):
        TestPlane(service, orders={})
    with pytest.raises(ValueError, match=r"uses no upstream `order`; did you mean `orders`"):
        shop(order={})
    with pytest.raises(ValueError, match="is no route with an answer"):
        FakeUpstream({"orders/{id}": {}})
    with pytest.raises(RuntimeError, match="as `with FakeUpstream"):
        _ = FakeUpstream().url
    with pytest.raises(RuntimeError, match="as `with TestPlane"):
        shop().get("/orders/7")
    with pytest.raises(ValueError, match="time_scale cannot be 0"):
        shop(time_scale=0)
    with shop() as plane, pytest.raises(ValueError, match="no metric `tailrace_none`"):
        plane.metric("tailrace_none")
    with pytest.raises(ValueError, match="uses no upstream `coupons`"):
        shop().fault("coupons", hang())


def test_the_environment_of_the_machine_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_UPSTREAMS_ORDERS_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TAILRACE_NONSENSE", "1")
    with shop() as plane:
        assert plane.get("/orders/7").status == 200


def test_serving_imports_nothing_of_testing() -> None:
    code = (
        "import sys, tailrace.cli.serve, tailrace._runtime, tailrace._lower, tailrace._openapi;"
        "print([name for name in sys.modules if name.startswith('tailrace.testing')])"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout == "[]\n"


# req 16.5, 8.3
def test_a_cached_part_stands_in_and_is_forgotten_on_request() -> None:
    kept = Upstream("kept", "http://kept.invalid:1", timeout="5s", retry=None)
    cached = Service("cached", deadline="10s")

    @cached.view("/c/{code}")
    class CouponView(View):
        coupon: Coupon | None = weak(
            kept.get("/c/{code}"), cache=Cache(ttl="1us", stale="0s", stale_if_error="1h")
        )

    answers: list[object] = [{"code": "TEN"}, status(500), status(500)]
    fake = FakeUpstream({"/c/{code}": lambda request: answers.pop(0)})
    with TestPlane(cached, kept=fake) as plane:
        assert plane.get("/c/1").degraded == {}
        stale = plane.get("/c/1")
        assert stale.json()["coupon"] == {"code": "TEN"}
        assert stale.degraded == {"coupon": "server_error"}
        assert re.search(r";served=stale;age=\d+$", stale.headers["tailrace-degraded"])
        assert plane.invalidate("kept", "/c/") == 1
        assert plane.get("/c/1").json()["coupon"] is None
        with pytest.raises(ValueError, match="there are: kept"):
            plane.invalidate("other")
