"""An admin port that answers what a test says, sample after sample."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUCKETS = [[5_119, 10], [10_239, 80], [49_151, 9], [98_303, 1]]


def sample(at: int, **changes: Any) -> dict[str, Any]:
    """What `/live` says `at` seconds after 100 of them: 100 requests a second."""
    count = 100 * at
    buckets = [[bound, n * at] for bound, n in BUCKETS]
    view = {
        "name": "order",
        "method": "GET",
        "route": "/api/orders/{order_id}",
        "deadline_ms": 150.0,
        "handler": False,
        "statuses": {"200": count - 2 * at, "502": 2 * at},
        "degraded": 5 * at,
        "cancelled": 0,
        "rung": 0,
        "rungs": 2,
        "duration_us": buckets,
        "parts": [part("order", "orders", "strong"), part("recommend", "recs", "weak", 5 * at)],
    }
    upstreams = [upstream("orders", count, buckets), upstream("recs", count, buckets, hedges=at)]
    return {
        "format_version": 1,
        "service": "shop",
        "version": "0.1.0",
        "at_ms": 100_000.0 + 1000 * at,
        "epoch_ms": 1_790_000_100_000 + 1000 * at,
        "started_epoch_ms": 1_790_000_000_000,
        "phase": "running",
        "protections": "on",
        "revision": 3,
        "lab": False,
        "receipts": True,
        "workers": 2,
        "connections": 12,
        "in_flight": 4,
        "unmatched": 0,
        "admission": {"asked": count, "refused": {"shed": 3 * at}},
        "views": [view],
        "upstreams": upstreams,
        **changes,
    }


def part(name: str, of: str, strength: str, timeouts: int = 0) -> dict[str, Any]:
    failed = {"timeout": timeouts} if timeouts else {}
    return {"name": name, "upstream": of, "strength": strength, "failed": failed, "ok": 0}


def upstream(name: str, count: int, buckets: list[list[int]], hedges: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "addresses": [{"address": f"127.0.0.1:{n}", "breaker": b} for n, b in enumerate(BREAKERS)],
        "calls": count,
        "calls_failed": count // 50,
        "attempts": count + hedges,
        "failures": count // 20,
        "timeouts": 0,
        "retries": 0,
        "hedges": hedges,
        "limit": 64,
        "limit_live": 23,
        "in_flight": 3,
        "queued": 1,
        "queue_limit": 64,
        "retry_budget": 92,
        "duration_us": buckets,
    }


BREAKERS = ("closed", "open", "closed")


@contextmanager
def serving(*answers: dict[str, Any], status: int = 200) -> Iterator[str]:
    """Answers `/live` with one after the other, the last for ever; gives the address."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps test output for what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="admin-port")
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
