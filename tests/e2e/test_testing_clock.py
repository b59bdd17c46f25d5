"""`TestPlane(clock="virtual")`: what depends on time happens when it is due, and takes none.

The failure prevented: a virtual clock that runs ahead of what is on its way, or of which one part
keeps its own time. Every number here is exact, on any machine.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from pydantic import BaseModel
from python_side import eventually
from tailrace import (
    Breaker,
    Cache,
    Hedge,
    Retry,
    Scope,
    Service,
    Upstream,
    View,
    strong,
    weak,
)
from tailrace.policies import Rate
from tailrace.testing import (
    FakeUpstream,
    Received,
    StuckError,
    TestPlane,
    after,
    hang,
    ok,
    slow,
    status,
)

pytestmark = pytest.mark.e2e


class Thing(BaseModel):
    id: str


fast = Upstream("fast", "http://fast.invalid", timeout="40ms", retry=None)
late = Upstream("late", "http://late.invalid", timeout="70ms", retry=None)
service = Service("timed", deadline="150ms", upstreams=[fast, late])


@service.view("/both/{id}")
class Both(View):
    one: Thing = strong(late.get("/things/{id}"))
    other: Thing | None = weak(fast.get("/things/{id}"))


ROUTES: dict[str, object] = {"/things/{id}": lambda request: {"id": request.params["id"]}}


def timed(made: Service = service, **fakes: Any) -> TestPlane:
    known = {one.name.replace("-", "_"): ROUTES for one in made.upstreams}
    return TestPlane(made, clock="virtual", **{**known, **fakes})


def alone(upstream: Upstream, **part: Any) -> Service:
    """A service whose one view has one weak part."""
    made = Service("alone", deadline="10s", upstreams=[upstream])

    @made.view("/x/{id}")
    class Alone(View):
        thing: Thing | None = weak(upstream.get("/things/{id}"), **part)

    return made


# req 4.5
def test_a_reply_comes_when_the_timeout_is_over_and_not_before() -> None:
    with timed() as plane:
        assert plane.get("/both/1").json()["other"] == {"id": "1"}
        assert plane.time_ms == 0, "an upstream that answers takes no time"
        plane.fault("fast", hang())
        assert plane.get("/both/1").degraded == {"other": "timeout"}
        assert plane.time_ms == 40
        waits = plane.send("GET", "/both/2")
        plane.advance("39ms")
        assert not waits.done
        plane.advance("1ms")
        assert waits.done
        assert waits.reply().degraded == {"other": "timeout"}
        assert waits.reply() is waits.reply()
        plane.fault("late", hang())
        plane.upstreams["fast"].well()
        assert plane.get("/both/3").status == 504
        assert plane.time_ms == 80 + 70


def test_delays_of_fakes_are_of_the_same_time() -> None:
    with timed() as plane:
        plane.fault("late", slow("69ms"))
        plane.upstreams["fast"].on("/things/{id}", after("39ms", ok({"id": "late"})))
        reply = plane.get("/both/1")
        assert (reply.status, reply.degraded, plane.time_ms) == (200, {}, 69)
        plane.fault("late", slow("71ms"))
        assert plane.get("/both/1").code == "timeout"
        assert plane.time_ms == 69 + 70


def test_a_long_time_passes_at_once_and_leaves_the_service_well() -> None:
    with timed() as plane:
        for _ in range(3):
            plane.advance("1h")
            assert plane.get("/both/1").degraded == {}
        assert plane.time_ms == 3 * 3_600_000
        # Overload is measured in time, and none was spent.
        assert plane.metric("tailrace_requests_total", status="200") == 3


def test_the_same_story_takes_the_same_time_every_time() -> None:
    seen = set()
    with timed() as plane:
        plane.fault("fast", slow("13ms"))
        plane.fault("late", slow("29ms"))
        for number in range(40):
            before = plane.time_ms
            assert plane.get(f"/both/{number}").degraded == {}
            seen.add(round(plane.time_ms - before, 3))
    assert seen == {29.0}


# req 8.3
def test_a_hedge_starts_when_it_is_due() -> None:
    upstream = Upstream(
        "up",
        ["http://a.invalid", "http://b.invalid"],
        timeout="1s",
        retry=None,
        breaker=None,
        hedge=Hedge(delay_min="20ms", extra=0.5),
    )
    pair = [FakeUpstream(ROUTES).fault(slow("5ms")) for _ in range(2)]
    with timed(alone(upstream), up=pair) as plane:
        for number in range(200):  # It must know what is usual,
            plane.get(f"/x/{number}")
        plane.advance("4s")  # which it works out every three seconds.
        usual = max(pair, key=lambda fake: fake.calls())
        usual.fault(hang())
        waiting = plane.send("GET", "/x/1")
        plane.advance("24ms")
        assert not waiting.done, "20 ms until the hedge, and 5 ms for its answer"
        plane.advance("1ms")
        assert waiting.done
        assert waiting.reply().degraded == {}
        assert plane.metric("tailrace_upstream_hedge_wins_total", upstream="up") == 1


# req 9.4
def test_a_retry_follows_an_attempt_that_took_its_time() -> None:
    retry = Retry(attempts=2, attempt_timeout="30ms", backoff="10ms", backoff_max="10ms")
    upstream = Upstream("up", "http://up.invalid", timeout="1s", retry=retry)
    with timed(alone(upstream)) as plane:
        plane.fault("up", hang(), times=1)
        assert plane.get("/x/1").degraded == {}
        assert plane.upstreams["up"].calls() == 2
        assert 30 <= plane.time_ms <= 40, "the attempt's time, and a pause of up to 10 ms"


# req 16.5
def test_a_cached_answer_grows_stale() -> None:
    upstream = Upstream("up", "http://up.invalid", timeout="1s", retry=None)
    cache = Cache(ttl="30s", stale="0s", stale_if_error="10m")
    with timed(alone(upstream, cache=cache)) as plane:
        fake = plane.upstreams["up"]
        for _ in range(3):
            plane.get("/x/1")
        assert fake.calls() == 1
        plane.advance("1m")
        fake.fault(status(500))
        stale = plane.get("/x/1")
        assert stale.json()["thing"] == {"id": "1"}
        assert stale.headers["tailrace-degraded"].endswith(";served=stale;age=60")
        plane.advance("10m")
        assert plane.get("/x/1").json()["thing"] is None


# req 9.1b
def test_a_breaker_opens_and_lets_a_probe_through_later() -> None:
    upstream = Upstream(
        "up",
        ["http://a.invalid", "http://b.invalid"],
        timeout="1s",
        retry=None,
        throttle=None,
        breaker=Breaker(consecutive=3, open="5s"),
    )
    pair = [FakeUpstream(ROUTES), FakeUpstream(ROUTES)]
    with timed(alone(upstream), up=pair) as plane:

        def many() -> int:
            """Ten at once, so that both addresses are of use; how many the first one got."""
            before = pair[0].calls()
            for waiting in [plane.send("GET", f"/x/{number}") for number in range(10)]:
                waiting.reply()
            return pair[0].calls() - before

        pair[0].fault(after("5ms", status(500)))
        pair[1].fault(slow("5ms"))
        assert many() >= 3
        assert many() == 0
        plane.advance("4s")
        assert many() == 0
        pair[0].fault(slow("5ms"))
        plane.advance("1m")
        assert many() == 1, "one call shows that it is well"
        plane.advance("5m")  # Until its failures are forgotten.
        assert many() >= 3


# req 9.1a
def test_a_rate_gives_back_what_time_brings() -> None:
    upstream = Upstream(
        "up", "http://up.invalid", timeout="1s", retry=None, throttle=None, rate=Rate(10, burst=2)
    )
    with timed(alone(upstream)) as plane:

        def spent() -> list[bool]:
            return [plane.get(f"/x/{n}").degraded == {"thing": "upstream_rate"} for n in range(3)]

        assert spent() == [False, False, True]
        plane.advance("100ms")
        assert spent() == [False, True, True]
        plane.advance("1h")
        assert spent() == [False, False, True]


handled = Service("handled", deadline="1s", upstreams=[fast, late])


@handled.get("/sleeps/{id}")
async def sleeps(id: str, scope: Scope) -> Thing:
    await asyncio.sleep(0.25)
    found = await late.get("/things/{id}", Thing, id=id)
    return Thing(id=f"{found.id} {scope.remaining:.3f}")


@handled.get("/gives-up/{id}")
async def gives_up(id: str) -> Thing:
    try:
        async with asyncio.timeout(0.02):
            return await late.get("/things/{id}", Thing, id=id)
    except TimeoutError:
        return Thing(id="gave up")


@handled.get("/plain/{id}", threads=2)
def plain(id: str, scope: Scope) -> Thing:
    first = scope.wait(late.get("/things/{id}", Thing, id=id))
    time.sleep(0.05)  # Work; no time of the clock.
    return scope.wait(late.get("/things/{id}", Thing, id=first.id))


@handled.get("/elsewhere/{id}")
async def elsewhere(id: str) -> Thing:
    await asyncio.to_thread(time.sleep, 0.05)
    return await fast.get("/things/{id}", Thing, id=id)


@handled.get("/never/{id}")
async def never(id: str) -> Thing:
    await asyncio.Event().wait()
    return Thing(id=id)


@pytest.mark.parametrize(
    ("path", "delay", "said", "took"),
    [
        ("/sleeps/a", None, "a 0.748", 250),
        ("/sleeps/a", "10ms", "a 0.738", 260),
        ("/gives-up/a", "10ms", "a", 10),
        ("/gives-up/a", "30ms", "gave up", 20),
        ("/plain/a", "15ms", "a", 30),
        ("/elsewhere/a", None, "a", 0),
    ],
)
def test_handlers_live_in_the_same_time(
    path: str, delay: str | None, said: str, took: float
) -> None:
    """Of the deadline of a second, 2 ms are the plane's, for the reply."""
    with timed(handled) as plane:
        if delay is not None:
            plane.fault("late", slow(delay))
        reply = plane.get(path)
        assert (reply.status, reply.json()) == (200, {"id": said})
        assert plane.time_ms == pytest.approx(took, abs=0.001)
    eventually("its threads end", lambda: not own_threads())


def own_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("tailrace-plain")]


def test_a_handler_that_never_ends_has_its_deadline() -> None:
    with timed(handled) as plane:
        assert plane.get("/never/1").code == "deadline"
        assert plane.time_ms == 1_000 - 2, "2 ms are for the reply"
    left = {thread.name for thread in threading.enumerate()}
    assert not left & {"tailrace-python", "fake-upstream", "tailrace-watch"}


def test_async_tests_move_the_clock_too() -> None:
    async def story() -> tuple[list[int], float]:
        async with timed() as plane:
            plane.plane.fault("fast", hang())
            replies = await asyncio.gather(*(plane.get(f"/both/{n}") for n in range(5)))
            await plane.advance("1s")
            return [reply.status for reply in replies], plane.plane.time_ms

    statuses, time_ms = asyncio.run(story())
    assert statuses == [200] * 5
    assert 1_040 <= time_ms <= 1_200, "those that were sent together are answered together"


def test_two_planes_share_one_time_and_it_ends_with_them() -> None:
    with timed() as one:
        one.advance("1s")
        with timed(handled) as other:
            assert other.time_ms == 1_000
            assert other.get("/sleeps/a").status == 200
            assert one.time_ms == 1_250
            with pytest.raises(RuntimeError, match="is the whole process's"):
                TestPlane(service, fast=ROUTES, late=ROUTES).start()
        one.fault("fast", hang())
        assert one.get("/both/1").degraded == {"other": "timeout"}
        assert one.time_ms == 1_290
    with TestPlane(service, fast=ROUTES, late=ROUTES, time_scale=100) as real:
        assert real.get("/both/1").degraded == {}
        with pytest.raises(RuntimeError, match=r"write TestPlane\(..., clock=\"virtual\"\)"):
            real.advance("1s")
        with pytest.raises(Exception, match="runs on the machine's clock"):
            timed().start()


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match='clock is "real" or "virtual", not \'fake\''):
        TestPlane(service, fast=ROUTES, late=ROUTES, clock="fake")  # type: ignore[arg-type]
    with FakeUpstream(ROUTES) as serving, pytest.raises(RuntimeError, match="serves already"):
        timed(fast=serving).start()
    with pytest.raises(RuntimeError, match="as `with TestPlane"):
        timed().advance("1s")


def test_time_that_cannot_move_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.testing.clock.PATIENCE_SECONDS", 0.5)
    gate = threading.Event()

    def blocks(request: Received) -> object:
        gate.wait(30)
        return {"id": "1"}

    with timed(fast=FakeUpstream({"/things/{id}": blocks})) as plane:
        waits = plane.send("GET", "/both/1")
        plane.upstreams["fast"].wait_for(1)
        with pytest.raises(StuckError, match="does a function of a route, or a handler, block"):
            waits.reply()
        gate.set()
