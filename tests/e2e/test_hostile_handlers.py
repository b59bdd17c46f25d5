"""RELIABILITY A09: twelve handlers that want to take the service with them, and one more.

Each runs in a service of its own, beside a declared view. While it does its worst, health, metrics
and the view answer; its own client is told 500, 503 or 504; and SIGTERM still ends the process.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from python_side import Reply, Upstream, eventually, get, metric, serving

pytestmark = pytest.mark.e2e

TERMINATED: Final = 143

CODE: Final = """
import os
import signal
import time

{decorator}
{code}


@service.get("/kind/{{id}}")
async def kind(id: str) -> Thing:
    return await up.get("/things/{{id}}", Thing, id=id)
"""
# Only a handler that never answers may meet its deadline, however slow the machine.
DEADLINES: Final = {"deadline": "400ms"}
PATIENT: Final = "9s"
ASYNC: Final = '@service.get("/hostile", deadline="{}", limit=2)'


@dataclass(frozen=True)
class Hostile:
    """A handler, what its client is told, and what the log says."""

    body: str
    status: int
    code: str
    log: str = ""
    holds: bool = False
    """It keeps the event loop, so that no other handler runs."""
    stays: bool = False
    """It does not end when it is told to."""
    plain: bool = False


HOSTILE: Final = {
    "spins": Hostile("while True: pass", 504, "deadline", "has held the event loop", True, True),
    "sleeps": Hostile("time.sleep(40)", 504, "deadline", "has held the event loop", True, True),
    "keeps the lock": Hostile(
        "sum(range(250_000_000))", 504, "deadline", "has held the event loop", True
    ),
    "swallows cancellation": Hostile(
        """
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass""",
        504,
        "deadline",
        stays=True,
    ),
    "exits": Hostile("raise SystemExit(3)", 500, "handler_error", "SystemExit: 3"),
    "interrupts": Hostile("raise KeyboardInterrupt", 500, "handler_error", "KeyboardInterrupt"),
    "recurses": Hostile(
        "def f(): return f()\n    f()", 500, "handler_error", "RecursionError: maximum recursion"
    ),
    "forks": Hostile(
        """
    if os.fork():
        return b"[1]"
    return b"[2]" """,
        200,
        "",
        "a handler forked and its child returned",
    ),
    "takes a signal": Hostile(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        500,
        "handler_error",
        "signal only works in main thread",
    ),
    "stops the loop": Hostile(
        "asyncio.get_running_loop().stop()\n    await asyncio.sleep(0)\n    return b'[1]'", 200, ""
    ),
    "cancels itself": Hostile(
        "asyncio.current_task().cancel()\n    await asyncio.sleep(0)",
        500,
        "handler_error",
        "CancelledError",
    ),
    "floods": Hostile(
        "await asyncio.gather(*[_one(n) for n in range(1500)])",
        502,
        "too_many_items",
    ),
    "blocks its thread": Hostile("time.sleep(40)", 504, "deadline", stays=True, plain=True),
}


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_handler_hurts_nobody_else(name: str, upstream: Upstream, tmp_path: Path) -> None:
    hostile = HOSTILE[name]
    decorator = ASYNC.format(DEADLINES.get(hostile.code, PATIENT))
    head = "async def hostile() -> bytes:\n    "
    if hostile.plain:
        decorator = decorator.replace("limit=2", "limit=2, threads=2")
        head = "def hostile() -> bytes:\n    "
    helper = 'async def _one(n):\n    await up.get("/hang/{n}", Thing, n=n)\n\n\n'
    code = CODE.format(decorator=f"{helper}{decorator}", code=head + hostile.body)
    try:
        with serving(tmp_path, upstream, code) as service:
            log = tmp_path / "service.log"
            told: list[Reply] = []
            asking = threading.Thread(target=lambda: told.append(get(service.port, "/hostile")))
            asking.start()
            while asking.is_alive():
                assert get(service.port, "/declared/x").json["it"] == {"id": "x"}
                assert get(service.admin_port, "/livez").status == 200
                assert get(service.admin_port, "/metrics").status == 200
                asking.join(0.02)
            assert (told[0].status, told[0].json.get("code", "") if hostile.code else "") == (
                hostile.status,
                hostile.code,
            )
            if hostile.log:
                eventually("the log says so", lambda: hostile.log in log.read_text())
            if hostile.code == "handler_error":
                assert metric(service, "tailrace_handler_errors_total", 'view="hostile"') == 1
                assert "handler `hostile` failed (request " in log.read_text()
            if hostile.holds:
                assert "handler `hostile` has held" in log.read_text()
                assert metric(service, "tailrace_handler_stalls_total", 'view="hostile"') == 1
            else:
                assert get(service.port, "/kind/y").json == {"id": "y"}
            if hostile.stays:
                assert get(service.port, "/hostile").status == 504
                refused = get(service.port, "/hostile")
                held = hostile.holds and refused.status == 504
                assert held or (refused.status, refused.json["code"]) == (503, "handler_full")
                if not hostile.holds:
                    said = "handler `hostile` still runs 1 s after it was cancelled"
                    eventually("the log names it", lambda: said in log.read_text())
                    series = ("tailrace_handler_overdue_total", 'view="hostile"')
                    eventually("and the metrics", lambda: metric(service, *series) == 2)
            assert get(service.port, "/declared/z").status == 200
            service.program.signal(signal.SIGTERM)
            assert service.program.wait() == TERMINATED
            if hostile.holds and hostile.stays:
                assert "a handler did not return; left behind" in log.read_text()
    finally:
        upstream.close()
