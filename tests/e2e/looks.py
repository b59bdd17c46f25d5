"""The verb `tailrace profile`, run against a service, for the tests of looks inside (req 12.2).

Prevents a look that is judged by its time: what a test waits for is what the service says.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from examples.orders.processes import PATIENCE_SECONDS, Service

TAILRACE = [sys.executable, "-m", "tailrace.cli"]


def profile(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    """The verb, run to its end."""
    return subprocess.run(
        [*TAILRACE, "profile", *words, "--admin", f"127.0.0.1:{service.admin_port}"],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )


def told(service: Service, *words: str) -> dict[str, Any]:
    ended = profile(service, *words, "--json")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert found["format_version"] == 1
    return found


@contextmanager
def asking(service: Service, path: str, request_id: str) -> Iterator[None]:
    """A request that is on its way, and given up at the end."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE_SECONDS)
    connection.request("GET", path, headers={"X-Request-Id": request_id})
    try:
        yield
    finally:
        connection.close()


def until(found: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Looks until it is there; the machine may be slow."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        seen = found()
        if seen is not None:
            return seen
    raise AssertionError("it never came")
