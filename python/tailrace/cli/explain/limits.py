"""Effective limits: what the blueprint says, else the plane's defaults.

The failure prevented: a page of limits that leaves out those nobody touched. A blueprint names only
what was overridden; the defaults stand in `crates/tailrace-blueprint/src/limits.rs`, and
`tests/cli/test_explain.py` holds this table to that file.
"""

from __future__ import annotations

from typing import Any, Final

DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "listen": {
        "host": "127.0.0.1",
        "port": 8080,
        "admin_host": "127.0.0.1",
        "admin_port": 9900,
        "admin_token_file": None,
        "workers": None,
    },
    "limits": {
        "head_read_ms": 5_000,
        "idle_ms": 30_000,
        "body_read_ms": 10_000,
        "write_ms": 10_000,
        "head_max_bytes": 16 * 1024,
        "headers_max": 100,
        "uri_max_bytes": 8 * 1024,
        "request_body_max_bytes": 1024 * 1024,
        "upstream_body_max_bytes": 4 * 1024 * 1024,
        "request_memory_max_bytes": 16 * 1024 * 1024,
        "memory_max_bytes": None,
        "json_depth_max": 64,
        "cache_max_bytes": 64 * 1024 * 1024,
        "connections_max": 4096,
        "pool_idle_ms": 4_000,
        "dns_refresh_ms": 5_000,
        "drain_ms": 15_000,
        "reserve_ms": 2,
    },
    "access_log": {"format": "json", "ring": 4096, "path": None},
}
QUEUE_LEAST: Final = 8


def effective(blueprint: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every limit of the process, overridden or not."""
    return {
        section: {**defaults, **blueprint.get(section, {})}
        for section, defaults in DEFAULTS.items()
    }


def queue_of(bulkhead: dict[str, Any]) -> int:
    """How many calls may wait for a bulkhead."""
    queue = bulkhead.get("queue")
    return max(QUEUE_LEAST, int(bulkhead["limit"])) if queue is None else int(queue)


def body_max(upstream: dict[str, Any], limits: dict[str, Any]) -> str:
    own = upstream.get("body_max_bytes")
    return size(limits["upstream_body_max_bytes"] if own is None else own)


def size(count: int) -> str:
    """Bytes in the largest unit that keeps them whole."""
    for factor, unit in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if count and count % factor == 0:
            return f"{count // factor} {unit}"
    return f"{count} B"
