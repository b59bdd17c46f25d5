"""A middleware that gives the routes of an existing ASGI app what views have.

    app.add_middleware(Middleware, client=client, deadline="2s", metrics="/metrics")

The failure prevented: governed calls inside ungoverned requests: a call that goes on after its
caller has given up, another request id on each side of the app, and routes that no dashboard shows.
The middleware reads how long the caller will wait and which id it gave, hands both to the calls of
`tailrace.Client`, and counts each route by its template, never by its path. It is plain ASGI and
imports no framework: FastAPI, Starlette, Litestar and bare apps are the same to it.

Limits: a route that runs in a thread is not stopped when its time is over, since no thread can be;
its caller is told when it has ended. What was answered already, a stream for instance, is not cut.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from http import HTTPStatus
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tailrace._inbound import INBOUND, Inbound
from tailrace._measures import CONTENT_TYPE, Measures
from tailrace._routes import template
from tailrace._watch_client import ClientWatch
from tailrace.errors import CallFailed

if TYPE_CHECKING:
    from tailrace.client import Client
    from tailrace.typing import Duration

__all__ = ["Middleware"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

TIMEOUTS: Final = frozenset(
    {b"grpc-timeout", b"x-envoy-expected-rq-timeout-ms", b"connect-timeout-ms"}
)
"""Headers that say how long the caller waits; the plane knows how to read them."""
TRACE: Final = (b"traceparent", b"tracestate")
"""The trace that a request belongs to (W3C trace context)."""
LEFT_MIN: Final = 0.001
"""Seconds below which a request is not begun, as a call is not (ALGORITHMS 3)."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:/+=@-]{1,128}")
_OWN: Final = (b"x-request-id", b"tailrace-degraded")
_LATE: Final = "the app did not answer within its deadline"


class Middleware:
    """Deadline, request id and measurements of an ASGI app's requests.

    `deadline` bounds every request until its answer begins; a caller that says it waits less gets
    less, and without either there is no bound. Past it the route is cancelled and the answer is
    504, a problem in JSON, as is a `CallFailed` that the app lets through. With `metrics`, a path,
    the middleware answers there with `metrics()`; other paths are the app's. Servers tell of a
    client that left and stop nothing: `cancel_on_disconnect` cancels the route, and so its calls,
    for one task more per request.

    Raises `ValueError` for a deadline without a unit or a path without its `/`.
    """

    def __init__(
        self,
        app: App,
        client: Client | None = None,
        *,
        deadline: Duration | None = None,
        metrics: str | None = None,
        cancel_on_disconnect: bool = False,
    ) -> None:
        self.app = app
        self._client = client
        self._deadline = None if deadline is None else _seconds(deadline)
        if metrics is not None and not metrics.startswith("/"):
            raise ValueError(f"metrics of the middleware: {metrics!r} is no path (begin with `/`)")
        self._metrics_path = metrics
        self._watches = cancel_on_disconnect
        self._measures = Measures()
        self._ids = count()
        self._id_prefix = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == self._metrics_path:
            await self._show(scope["method"], send)
        else:
            await self._serve(scope, receive, send)

    def metrics(self) -> str:
        """What `/metrics` of a service says, of this app's routes and of the client's calls."""
        client = self._client
        return self._measures.text(client.metrics() if client and client.is_open else "")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        request_id, left, trace = self._asked(scope["headers"])
        loop = asyncio.get_running_loop()
        inbound = Inbound(request_id, None if left is None else loop.time() + left, trace)
        reply = _Reply(send, inbound)
        watch = None
        if self._watches:
            watch = ClientWatch(receive, reply.is_over, scope["headers"])
            receive = watch.receive
        measures = self._measures
        measures.in_flight += 1
        outer = INBOUND.set(inbound)
        try:
            if left is None:
                await self.app(scope, receive, reply.send)
            elif left < LEFT_MIN:
                await reply.problem(504, "deadline", _LATE)
            else:
                await self._within(inbound.deadline, scope, receive, reply)
        except CallFailed as failed:
            if reply.status:
                raise
            await reply.problem(failed.status, failed.reason, _detail(failed), failed.upstream)
        except asyncio.CancelledError:
            reply.cancelled = not reply.status
            if watch is None or not watch.absorbs():
                raise
        except Exception:
            # Whoever is around this answers 500; what was answered already stays what it was.
            reply.status = reply.status or 500
            raise
        finally:
            INBOUND.reset(outer)
            if watch is not None:
                watch.close()
            measures.in_flight -= 1
            view = measures.view(scope["method"], template(scope, self.app))
            if reply.cancelled:
                view.cancelled += 1
            else:
                took = (reply.ended or perf_counter()) - started
                view.replied(reply.status, took, degraded=reply.degraded)

    async def _within(
        self, deadline: float | None, scope: Scope, receive: Receive, reply: _Reply
    ) -> None:
        """Runs the app until its answer begins, at the latest until `deadline`."""
        try:
            async with asyncio.timeout_at(deadline) as limit:
                reply.limit = limit
                try:
                    await self.app(scope, receive, reply.send)
                finally:
                    reply.limit = None
        except TimeoutError:
            if reply.status or not limit.expired():
                raise
            await reply.problem(504, "deadline", _LATE)

    def _asked(self, headers: Any) -> tuple[bytes, float | None, tuple[bytes, bytes]]:
        """The request's id, the seconds it has, and the trace it belongs to."""
        request_id = None
        left = self._deadline
        trace: dict[bytes, bytes] = {}
        for name, value in headers:
            if name == b"x-request-id":
                if _REQUEST_ID.fullmatch(value):
                    request_id = bytes(value)
            elif name in TRACE:
                # Two parents joined are none; the plane reads them, and strictly.
                known = trace.get(name)
                trace[name] = bytes(value) if known is None else b"%b,%b" % (known, value)
            elif name in TIMEOUTS:
                from tailrace._runtime import asked_seconds

                asked = asked_seconds(bytes(name), bytes(value))
                if asked is not None and (left is None or asked < left):
                    left = asked
        given = (trace.get(TRACE[0], b""), trace.get(TRACE[1], b""))
        return request_id or self._new_id(), left, given

    def _new_id(self) -> bytes:
        """An id that no other request of this process has: 64 random bits, then a counter."""
        if not self._id_prefix:  # Not in `__init__`: a server may fork between.
            self._id_prefix = os.urandom(8).hex()
        return f"{self._id_prefix}{next(self._ids):012x}".encode()

    async def _show(self, method: str, send: Send) -> None:
        allowed = method in ("GET", "HEAD")
        body = self.metrics().encode() if allowed else b""
        headers = [(b"content-length", b"%d" % len(body))]
        headers.append((b"content-type", CONTENT_TYPE) if allowed else (b"allow", b"GET, HEAD"))
        status = 200 if allowed else 405
        await send({"type": "http.response.start", "status": status, "headers": headers})
        shown = body if method == "GET" else b""
        await send({"type": "http.response.body", "body": shown})


class _Reply:
    """What goes back to the server: counted, and with the headers that a view's reply has."""

    __slots__ = ("_inbound", "_send", "cancelled", "degraded", "ended", "limit", "status")

    def __init__(self, send: Send, inbound: Inbound) -> None:
        self._send = send
        self._inbound = inbound
        self.limit: asyncio.Timeout | None = None
        self.status = 0
        """0 until the answer has begun."""
        self.degraded = False
        self.cancelled = False
        self.ended = 0.0

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            if self.limit is not None and not self.limit.expired():
                self.limit.reschedule(None)  # What has begun may be a stream.
            self.status = message["status"]
            message = {**message, "headers": self._headers(message.get("headers", ()))}
        await self._send(message)
        if kind == "http.response.body" and not message.get("more_body", False):
            self.ended = perf_counter()

    def is_over(self) -> bool:
        """Whether the answer was sent whole."""
        return self.ended > 0

    def _headers(self, given: Any) -> list[tuple[bytes, bytes]]:
        """The app's headers, ours instead of its own of that name."""
        own = [(b"x-request-id", self._inbound.request_id)]
        dropped: tuple[bytes, ...] = _OWN
        told = self._inbound.told()
        if told and self.status < 400:
            self.degraded = True
            own += [(b"tailrace-degraded", told.encode()), (b"cache-control", b"no-store")]
            dropped = (*_OWN, b"cache-control")
        return [*(pair for pair in given if pair[0].lower() not in dropped), *own]

    async def problem(self, status: int, code: str, detail: str, part: str | None = None) -> None:
        """Answers as the plane does (RFC 9457)."""
        told: dict[str, Any] = {
            "type": f"urn:tailrace:problem:{code}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": code,
            "detail": detail,
        }
        if part is not None:
            told["part"] = part
        told["request_id"] = self._inbound.request_id.decode()
        body = json.dumps(told, separators=(",", ":")).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _seconds(deadline: Duration) -> float:
    from tailrace.quantities import QuantityError, duration_ms

    try:
        return duration_ms(deadline) / 1000
    except QuantityError as error:
        raise ValueError(f"deadline of the middleware: {error} ({error.hint})") from None


def _detail(failed: CallFailed) -> str:
    return _details().get(failed.reason) or str(failed)


@cache
def _details() -> dict[str, str]:
    """The words that the plane has for each reason."""
    from tailrace._runtime import problems

    return {code: detail for scope, code, _, detail in problems() if scope == "part"}
