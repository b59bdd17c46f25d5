"""`cancel_on_disconnect`: what a client that leaves ends, and what it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import tailrace
from asgi_side import Thing, ask, plain, series
from asgi_side import scope as request_scope
from python_side import Upstream, eventually
from tailrace.asgi import Middleware

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("body", "said"),
    [(None, {}), (None, {"content_length": "0"}), (b"some", {"content_length": "4"})],
)
def test_a_client_that_leaves_ends_the_route_when_asked_to(
    up: tailrace.Upstream, scripted: Upstream, body: bytes | None, said: dict[str, str]
) -> None:
    """RELIABILITY A04; the app reads all of its request before and after."""
    client = tailrace.Client(up)
    read: list[Any] = []
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if body is not None:
            read.extend([await receive(), await receive()])
        try:
            await client.get(up, "/hang/{id}", Thing, id="left")
        except asyncio.CancelledError:
            ended.append("cancelled")
            read.extend([await receive(), await receive()])
            raise

    async def main() -> dict[str, float]:
        gone, asked = scripted.gone, scripted.seen["/hang/left"]
        left = asyncio.Event()
        chunk = {"type": "http.request", "body": body or b"", "more_body": body is not None}
        messages = [chunk, {"type": "http.request", "body": b"", "more_body": False}]
        if body is None:
            messages.pop()

        async def receive() -> Any:
            if messages:
                return messages.pop(0)
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        async with client:
            wrapped = Middleware(app, client, cancel_on_disconnect=True)
            task = asyncio.create_task(wrapped(request_scope("/x", **said), receive, send))
            seen = lambda: scripted.seen["/hang/left"] > asked  # noqa: E731 - said once
            await asyncio.to_thread(eventually, "the call runs", seen)
            left.set()
            await task
            await asyncio.to_thread(eventually, "it is gone", lambda: scripted.gone > gone)
            assert task.cancelling() == 0
            return series(wrapped.metrics())

    numbers = asyncio.run(main())
    assert ended == ["cancelled"]
    kinds = [message["type"] for message in read]
    requests, ends = (1, 1) if body is None else (2, 2)
    assert kinds == ["http.request"] * requests + ["http.disconnect"] * ends
    assert not any(key.startswith("tailrace_requests_total") for key in numbers)


def test_the_end_of_an_answer_is_no_client_that_left() -> None:
    """Servers say `http.disconnect` then, too: what the app does afterwards goes on."""
    after: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await plain(scope, receive, send)
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        await asyncio.sleep(0)
        after.append("background")

    async def main() -> None:
        over = asyncio.Event()
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                over.set()

        await Middleware(app, cancel_on_disconnect=True)(request_scope("/x"), receive, send)

    asyncio.run(main())
    assert after == ["background"]


def test_a_cancellation_of_somebody_else_goes_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(ask(Middleware(app, cancel_on_disconnect=True), "/"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
