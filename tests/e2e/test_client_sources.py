"""Where a result of `tailrace.Client` is from, told to whoever asks (req 8.3).

Prevents a program that shows yesterday's answer as today's: a kept answer looks like any other
until the caller asks for its source.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
import tailrace
from asgi_side import Got, ask, with_calls
from pydantic import BaseModel
from python_side import PATIENCE_SECONDS, Upstream
from tailrace.asgi import Middleware
from tailrace.bound import Sourced

pytestmark = pytest.mark.e2e


class Thing(BaseModel):
    id: str


def declared(scripted: Upstream, cache: tailrace.Cache | None) -> tailrace.Upstream:
    return tailrace.Upstream(
        "up", scripted.url, timeout="9s", retry=None, throttle=None, cache=cache
    )


def test_fresh_and_cached(scripted: Upstream) -> None:
    up = declared(scripted, tailrace.Cache(ttl="1h"))

    async def main() -> list[Sourced[Thing]]:
        async with tailrace.Client(up) as client:
            call = client.sourced(up.get("/things/{id}", Thing, id="kept"))
            apart = [await client.call(call) for _ in range(2)]
            together = await client.all(call, up.get("/things/{id}", Thing, id="other"))
            assert together[1] == Thing(id="other")
            # Who does not ask gets the value alone, from the cache too.
            assert await client.get(up, "/things/{id}", Thing, id="kept") == Thing(id="kept")
            return [*apart, together[0]]

    first, *others = asyncio.run(main())
    assert first == Sourced(Thing(id="kept"), "fresh", 0, None)
    for other in others:
        assert (other.value, other.source, other.reason) == (Thing(id="kept"), "cached", None)
        assert other.age_s >= 0
    assert scripted.seen["/things/kept"] == 1


def test_a_stale_answer_says_why_it_stands_in(scripted: Upstream) -> None:
    up = declared(scripted, tailrace.Cache(ttl="1ms", stale="0s", stale_if_error="1h"))

    async def main() -> Sourced[Thing]:
        async with tailrace.Client(up) as client:
            call = client.sourced(up.get("/things/{id}", Thing, id="old"))
            await client.call(call)
            scripted.failing.set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (told := await client.call(call)).source == "cached":
                    pass
            return told

    try:
        told = asyncio.run(main())
    finally:
        scripted.failing.clear()
    assert (told.value, told.source, told.reason) == (Thing(id="old"), "stale", "server_error")


def test_a_weak_call_says_what_stands_in_for_it(scripted: Upstream) -> None:
    up = declared(scripted, None)

    async def main() -> tuple[Any, ...]:
        async with tailrace.Client(up) as client:
            broken = up.get("/status/{id}", Thing, id=500)
            found = await client.all(
                client.sourced(client.weak(broken, default=Thing(id="none"))),
                client.sourced(client.weak(broken)),
                client.sourced(client.weak(up.get("/things/{id}", Thing, id="a"))),
            )
            with pytest.raises(tailrace.CallFailed, match="server_error"):
                await client.call(client.sourced(broken))
            with pytest.raises(TypeError, match="is no call"):
                await client.call(client.sourced(client.sourced(broken)))  # type: ignore[arg-type]
            return found

    assert asyncio.run(main()) == (
        Sourced(Thing(id="none"), "default", 0, "server_error"),
        Sourced(None, "missing", 0, "server_error"),
        Sourced(Thing(id="a"), "fresh", 0, None),
    )


def test_the_middleware_says_that_a_kept_answer_stood_in(scripted: Upstream) -> None:
    """The words of a handler's reply (docs/concepts/handlers.md), though nobody asked for them."""
    up = declared(scripted, tailrace.Cache(ttl="1ms", stale="0s", stale_if_error="1h"))

    async def make(client: tailrace.Client, path: str) -> Any:
        call = up.get("/things/{id}", Thing, id="shown")
        if path == "/plain":
            return (await client.call(call)).id
        name = None if path == "/same-name" else "odd"
        shown, odd = await client.all(
            call, client.weak(up.get("/status/{n}", Thing, n=409), name=name)
        )
        return [shown.id, odd]

    async def main(app: Middleware) -> list[Got]:
        whole = await ask(app, "/plain")
        scripted.failing.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "tailrace-degraded" not in (got := await ask(app, "/plain")).headers:
                assert got.json == "shown"  # Within its time to live, of a millisecond.
        return [whole, got, await ask(app, "/named"), await ask(app, "/same-name")]

    try:
        whole, stale, named, same = with_calls(up, make)(main)
    finally:
        scripted.failing.clear()
    assert "tailrace-degraded" not in whole.headers
    assert whole.headers["cache-control"] == "max-age=9"
    assert (stale.status, stale.json) == (200, "shown")
    kept = r"up;reason=server_error;served=stale;age=\d+"
    assert re.fullmatch(kept, stale.headers["tailrace-degraded"])
    assert stale.headers["cache-control"] == "no-store"
    assert named.json == ["shown", None]
    told = named.headers["tailrace-degraded"]
    assert re.fullmatch(rf"odd;reason=client_error, {kept}", told)
    # One name, one entry: what is missing says more than what stood in.
    assert same.headers["tailrace-degraded"] == "up;reason=client_error"
