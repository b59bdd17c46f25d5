"""Where a result of `tailrace.Client` is from, told to whoever asks (req 8.3).

Prevents a program that shows yesterday's answer as today's: a kept answer looks like any other
until the caller asks for its source.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import tailrace
from pydantic import BaseModel
from python_side import PATIENCE_SECONDS, Upstream
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
