"""Traces of real processes: a collector gets spans of views, handlers and a client's calls.

What is in a span, and how spans hang together, is decoded and proved in
`crates/tailrace-plane/tests/wire/tracing.rs`; here a message is searched for what must be in it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import tailrace
from asgi_side import Thing, ask, with_calls
from python_side import Upstream, eventually, get, metric, serving
from tailrace.policies import Tracing

pytestmark = pytest.mark.e2e

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-00"
CODE = """
@service.get("/chain/{id}")
async def chain(id: str) -> Pair:
    one = await up.get("/things/{id}", Thing, id=id)
    return Pair(one=one, other=await up.get("/things/{id}", Thing, id="other-" + one.id))
"""


class Collector:
    """Takes everything, and keeps it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[dict[str, str]] = []
        own = self

        class Answer(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                own.heads.append({name.lower(): value for name, value in self.headers.items()})
                own.bodies.append(body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def said(self) -> bytes:
        return b"".join(self.bodies)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


def told(upstream: Upstream, path: str) -> tuple[str, str]:
    """The trace and the span that an attempt was told."""
    version, trace, span, _ = upstream.headers[path]["traceparent"].split("-")
    assert version == "00"
    return trace, span


def test_views_and_handlers_are_traced(
    tmp_path: Path, upstream: Upstream, collector: Collector
) -> None:
    """req 16.6: the caller's trace goes on to every attempt, and its spans to the collector."""
    environment = {
        "TAILRACE_TRACING_ENABLED": "on",
        "TAILRACE_TRACING_SHARE": "100%",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hunter2",
        "OTEL_SERVICE_NAME": "the-shop",
    }
    with serving(tmp_path, upstream, CODE, **environment) as service:
        sampled = PARENT[:-1] + "1"
        given = {"traceparent": sampled, "tracestate": "a=1"}
        assert get(service.port, "/declared/7", **given).status == 200
        assert upstream.headers["/things/7"]["tracestate"] == "a=1"
        assert get(service.port, "/chain/8", **given).status == 200
        spans = [told(upstream, f"/things/{name}") for name in ("7", "8", "other-8")]
        assert {trace for trace, _ in spans} == {TRACE}
        assert len({span for _, span in spans}) == 3
        assert all(span != "00f067aa0ba902b7" for _, span in spans)
        wanted = [bytes.fromhex(span) for _, span in spans]
        wanted += [bytes.fromhex(TRACE), b"GET /declared/{id}", b"handler", b"the-shop", b"up"]
        eventually("the spans are there", lambda: all(one in collector.said for one in wanted))
        assert all(head["authorization"] == "Bearer hunter2" for head in collector.heads)
        # Counted when the collector's answer is back, a moment after it has the spans.
        exported = partial(metric, service, "tailrace_spans_exported_total")
        eventually("the spans are counted", lambda: exported() > 0)
        # RELIABILITY S22: the token is in no page of the admin port.
        for page in ("/config", "/metrics"):
            assert b"hunter2" not in get(service.admin_port, page).body


def test_without_tracing_a_context_is_passed_on_and_nothing_is_sent(
    tmp_path: Path, upstream: Upstream, collector: Collector
) -> None:
    with serving(tmp_path, upstream, CODE, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as service:
        assert get(service.port, "/chain/8", traceparent=PARENT, tracestate="a=1").status == 200
        for path in ("/things/8", "/things/other-8"):
            assert upstream.headers[path]["traceparent"] == PARENT
            assert upstream.headers[path]["tracestate"] == "a=1"
        assert get(service.port, "/chain/9", traceparent="00-1-2-3").status == 200
        assert "traceparent" not in upstream.headers["/things/9"]
    assert collector.bodies == []


def client_of(upstream: Upstream) -> tailrace.Upstream:
    return tailrace.Upstream("up", upstream.url, timeout="9s", retry=None, throttle=None)


def test_the_middleware_hands_a_client_the_trace_of_its_request(upstream: Upstream) -> None:
    up = client_of(upstream)

    async def make(client: tailrace.Client, path: str) -> str:
        thing = await client.get(up, "/things/{id}", Thing, id=path.removeprefix("/"))
        return thing.id

    async def main(app: Any) -> None:
        got = await ask(app, "/7", traceparent=PARENT, tracestate="a=1")
        assert got.status == 200
        assert (await ask(app, "/8", traceparent="nonsense")).status == 200

    with_calls(up, make)(main)
    assert upstream.headers["/things/7"]["traceparent"] == PARENT
    assert upstream.headers["/things/7"]["tracestate"] == "a=1"
    assert "traceparent" not in upstream.headers["/things/8"]


def test_a_client_s_calls_have_spans(upstream: Upstream, collector: Collector) -> None:
    import asyncio

    up = client_of(upstream)
    tracing = Tracing(endpoint=collector.url, share=1.0)

    async def main() -> None:
        async with tailrace.Client(up, tracing=tracing) as client:
            await client.get(up, "/things/{id}", Thing, id="7")
            async with client.stream(up, "/things/{id}", id="8") as answer:
                assert await answer.read()

    asyncio.run(main())
    trace, span = told(upstream, "/things/7")
    streamed, _ = told(upstream, "/things/8")
    assert streamed != trace, "each submission is a trace of its own"
    # The end sends what waits.
    for wanted in (bytes.fromhex(trace), bytes.fromhex(span), b"calls"):
        assert wanted in collector.said
