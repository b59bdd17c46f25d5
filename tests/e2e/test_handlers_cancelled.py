"""RELIABILITY A04: clients that leave at random points leave nothing behind in Python either.

500 of them in `make test`, 10 000 with `TAILRACE_COUNT_FULL=1`.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from python_side import Upstream, eventually, get, metric, serving

pytestmark = pytest.mark.e2e

COUNT: Final = 10_000 if os.environ.get("TAILRACE_COUNT_FULL") == "1" else 500
AT_ONCE: Final = 8
SEED: Final = 20_261_124

CODE: Final = """
@service.get("/mixed/{id}", limit=400)
async def mixed(id: str, scope: Scope) -> Pair:
    one = await up.get("/things/{id}", Thing, id=id)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_ask("/hang/{id}", id))
        other = await up.get("/things/{id}", Thing, id=id)
    return Pair(one=one, other=other)


async def _ask(path, id):
    return await up.get(path, Thing, id=id)
"""


def leave(port: int, number: int, chance: random.Random) -> None:
    """Asks, and leaves: with half a request sent, at once, or when the upstream is busy."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        request = f"GET /mixed/{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        cut = chance.choice([len(request), len(request), chance.randrange(len(request))])
        connection.sendall(request[:cut])
        if chance.random() < 0.5:
            connection.settimeout(chance.random() * 0.02)
            with suppress(TimeoutError):
                connection.recv(1)
        if chance.random() < 0.3:
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.mark.timeout(600)
def test_clients_that_leave_at_random_points_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAILRACE_COUNT_FULL", raising=False)  # The service would ask what it is.
    upstream = Upstream()
    print(f"seed {SEED}, {COUNT} clients")
    try:
        with serving(tmp_path, upstream, CODE) as service:

            def ask(worker: int) -> None:
                chance = random.Random(SEED + worker)
                for number in range(worker, COUNT, AT_ONCE):
                    leave(service.port, number, chance)

            threads = [threading.Thread(target=ask, args=(one,)) for one in range(AT_ONCE)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for name in ("handler_in_flight", "in_flight_requests", "bulkhead_in_flight"):
                eventually(name, lambda name=name: metric(service, f"tailrace_{name}") == 0)
            # The one that asks for the metrics is not a client of the service port.
            eventually("connections", lambda: metric(service, "tailrace_connections") == 0)
            assert metric(service, "tailrace_handler_errors_total") == 0
            assert metric(service, "tailrace_python_waiting_seconds") == 0
            assert get(service.port, "/declared/x").status == 200
            log = (tmp_path / "service.log").read_text()
            assert "Traceback" not in log
            assert "never" not in log
    finally:
        upstream.close()
