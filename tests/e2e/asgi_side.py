"""An ASGI server of a test: one request at a time, spoken to without a socket.

Prevents a middleware test that proves what one server happens to do. What real servers do is in
test_servers.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, MutableMapping
from typing import Any

import tailrace
from pydantic import BaseModel
from tailrace.asgi import Middleware


class Thing(BaseModel):
    """What the scripted upstream answers."""

    id: str


class Got:
    """One answer, as messages made of it."""

    def __init__(self, messages: list[MutableMapping[str, Any]]) -> None:
        start = messages[0]
        self.status: int = start["status"]
        self.headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        self.pairs: list[tuple[bytes, bytes]] = list(start["headers"])
        bodies = [one.get("body", b"") for one in messages[1:]]
        self.body: bytes = b"".join(bodies)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def scope(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """The scope of a request; `_` in a header's name is `-`."""
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": pairs,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def ask(app: Any, path: str, method: str = "GET", **headers: str) -> Got:
    """What `app` answers."""
    return await speak(app, scope(path, method, **headers))


async def speak(app: Any, asked: dict[str, Any]) -> Got:
    sent: list[MutableMapping[str, Any]] = []
    came = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if not came:  # As of a client that stays.
            await asyncio.get_running_loop().create_future()
        return came.pop()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(asked, receive, send)
    return Got(sent)


def series(text: str) -> dict[str, float]:
    """Metrics text as numbers by name and labels."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    named = [line.rpartition(" ") for line in lines]
    return {name.removesuffix("{}"): float(number) for name, _, number in named}


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """An app without a framework: it answers its path."""
    body = scope["path"].encode()
    headers = [(b"content-length", b"%d" % len(body)), (b"Cache-Control", b"max-age=9")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def with_calls(up: tailrace.Upstream, make: Callable[[tailrace.Client, str], Any]) -> Any:
    """A middleware around an app that makes calls, its client, and a runner of both."""
    client = tailrace.Client(up)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        said = await make(client, scope["path"])
        body = json.dumps(said).encode()
        headers = [(b"content-length", b"%d" % len(body)), (b"Cache-Control", b"max-age=9")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def run(main: Callable[[Middleware], Any], **options: Any) -> Any:
        async def whole() -> Any:
            async with client:
                return await main(Middleware(app, client, **options))

        return asyncio.run(whole())

    return run
