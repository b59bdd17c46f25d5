"""Computed fields in a served process: values, failures, code that misbehaves, measurements."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from python_side import Upstream, eventually, get, metric, serving

from examples.orders.processes import Service

pytestmark = pytest.mark.e2e

CODE: Final = """
import datetime
import os
import time
from contextvars import ContextVar
from dataclasses import dataclass
from tailrace import computed, weak
from tailrace.policies import Computed

SEEN = ContextVar("seen", default="nobody")


@dataclass
class Shown:
    id: str
    day: datetime.date
    amount: int


@service.view("/sum/{id}/{amount}")
class Sum(View):
    day: datetime.date = query()
    amount: int = __import__("tailrace").path()
    tenant: str | None = header("x-tenant", default=None)
    it: Thing = strong(up.get("/things/{id}"), name="thing")

    @computed
    def twice(self) -> int:
        return 2 * self._number()

    other: Thing | None = weak(broken.get("/status/{id}"))
    more: list[Thing | None] = weak(broken.get("/status/{id}"), default=[])

    @computed
    def shown(self) -> Shown:
        assert self.it is self.it and self.other is None and self.more == []
        return Shown(self.it.id + self.id, self.day, self.twice + 1)

    @computed(weak=True)
    def caller(self) -> str | None:
        before = SEEN.get()
        SEEN.set(self.tenant)
        return f"{self.tenant} after {before}"

    def _number(self):
        return self.amount


@service.view("/fails/{id}/{how}")
class Fails(View):
    it: Thing = strong(up.get("/things/{id}"))

    @computed
    def firm(self) -> int:
        if self.how == "raise":
            raise ValueError("no firm value")
        return "text" if self.how == "type" else 1

    @computed(default=7)
    def soft(self) -> int:
        if self.how == "exit":
            raise SystemExit(3)
        if self.how == "recurse":
            return self.soft
        return self.missing if self.how == "attribute" else 2


@service.view(
    "/slow/{id}", deadline="1s", computed=Computed(limit=2), allow_overcommit="it has to be late"
)
class Slow(View):
    it: Thing = strong(up.get("/things/{id}"))

    @computed(weak=True)
    def nap(self) -> int | None:
        time.sleep(40)
        return 1


ASKED, RAN = [], []


@service.view("/asks/{id}")
class Asks(View):
    it: Thing = strong(up.get("/things/{id}"))

    @computed
    def ran(self) -> list[str]:
        import asyncio

        if not ASKED:
            ASKED.append(self.id)
            loop = asyncio.get_running_loop()
            loop.call_later(0.001, RAN.append, "later")
            if self.id == "both":
                loop.call_soon(RAN.append, "soon")
        return list(RAN)


@service.view("/busy/{id}")
class Busy(View):
    it: Thing = strong(up.get("/things/{id}"))

    @computed
    def late(self) -> int:
        time.sleep(0.01)
        return 1


@service.get("/turns")
async def turns() -> int:
    import asyncio

    await asyncio.sleep(0.001)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(asyncio.sleep(0))
    return 1


@service.post("/sent")
async def sent(draft: Thing = body()) -> Thing:
    return draft


@service.view("/sent/{id}", method="PUT")
class Put(View):
    draft: Thing = body()
    it: Thing = strong(up.put("/things/{id}", json="{draft}"))

    @computed
    def both(self) -> list[str]:
        return [self.draft.id, self.it.id]
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()


@pytest.fixture(scope="module")
def service(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("computed")
    log = folder / "access.log"
    more = {"TAILRACE_ACCESS_LOG_FORMAT": "json", "TAILRACE_ACCESS_LOG_PATH": str(log)}
    with serving(folder, upstream, CODE, **more) as running:
        running.access_log = log
        yield running


def test_the_time_of_computed_fields_is_in_the_receipt(service: Service) -> None:
    """req 3.1, 3.6: after the parts and before the reply, with what they waited for Python."""
    path = "/sum/7/3?day=2026-01-02"
    assert get(service.port, path, **{"X-Request-Id": "billed"}).status == 200
    rows = get(service.admin_port, "/receipts?view=sum").json["receipts"]
    (one,) = [row for row in rows if row["request_id"] == "billed"]
    steps = [step["step"] for step in one["tail"]["steps"]]
    assert "python" in steps and "python" not in steps[: steps.index("upstream")], steps
    python = sum(step["took_ms"] for step in one["tail"]["steps"] if step["step"] == "python")
    assert 0 < one["python"]["loop_wait_ms"] <= python
    nanos = sum(round(step["took_ms"] * 1e6) for step in one["tail"]["steps"])
    assert nanos == round(one["duration_ms"] * 1e6)


def test_fields_stand_in_declared_order_and_are_made_of_typed_values(service: Service) -> None:
    reply = get(service.port, "/sum/503/20?day=2026-11-24", **{"x-tenant": "shop"})
    assert reply.status == 200
    found = reply.json
    names = ["thing", "twice", "other", "more", "shown", "caller"]
    assert list(found)[:6] == names
    assert found["twice"] == 40
    assert found["shown"] == {"id": "503503", "day": "2026-11-24", "amount": 41}
    assert found["caller"] == "shop after nobody"
    assert reply.headers["tailrace-degraded"].startswith("other;reason=server_error, more;")
    # What the code set of context variables ended with it.
    again = get(service.port, "/sum/503/1?day=2026-11-24")
    assert again.json["caller"] == "None after nobody"


def test_a_computed_field_reads_the_body_of_its_request(service: Service) -> None:
    from python_side import ask

    reply = ask(service.port, "PUT", "/sent/a", b'{"id": "sent"}', "application/json")
    assert (reply.status, reply.json["both"]) == (200, ["sent", "a"])


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("raise", "computed_error", "`fails.firm` failed"),
        ("type", "computed_mismatch", "`fails.firm` returned str"),
    ],
)
def test_a_strong_field_fails_its_request_and_no_other(
    service: Service, tmp_path: Path, how: str, code: str, said: str
) -> None:
    reply = get(service.port, f"/fails/x/{how}", **{"x-request-id": f"strong-{how}"})
    assert (reply.status, reply.json["code"], reply.json["part"]) == (502, code, "firm")
    assert b"no firm value" not in reply.body
    eventually(said, lambda: f"computed field {said} (request strong-{how})" in log_of(service))
    assert get(service.port, "/fails/x/not").json["firm"] == 1


@pytest.mark.parametrize("how", ["exit", "recurse", "attribute"])
def test_a_weak_field_degrades_its_reply(service: Service, how: str) -> None:
    reply = get(service.port, f"/fails/x/{how}")
    assert (reply.status, reply.json["firm"], reply.json["soft"]) == (200, 1, 7)
    assert reply.json["degraded"] == ["soft"]
    assert reply.headers["tailrace-degraded"] == "soft;reason=computed_error;served=default"
    assert reply.headers["cache-control"] == "no-store"


def test_entries_are_counted_and_a_declared_view_makes_none(service: Service) -> None:
    def entries(view: str) -> float:
        return metric(service, "tailrace_interpreter_entries_total", f'view="{view}"')

    before = entries("fails")
    for _ in range(3):
        assert get(service.port, "/fails/x/not").status == 200
        assert get(service.port, "/declared/x").status == 200
    assert entries("fails") - before == 3
    assert entries("declared") == 0
    for name in ("tailrace_computed_seconds_count", "tailrace_computed_wait_seconds_count"):
        assert metric(service, name, 'view="fails"') >= 3
    label = 'part="firm",result="ok"'
    assert metric(service, "tailrace_part_results_total", label) >= 3


def test_the_access_log_says_what_python_took(service: Service) -> None:
    get(service.port, "/fails/x/not", **{"x-request-id": "logged-1"})
    get(service.port, "/declared/x", **{"x-request-id": "logged-2"})

    def lines() -> dict[str, dict[str, object]]:
        rows = [json.loads(line) for line in service.access_log.read_text().splitlines()]
        return {row["request_id"]: row for row in rows if "status" in row}

    eventually("both lines", lambda: {"logged-1", "logged-2"} <= lines().keys())
    found = lines()["logged-1"]
    assert found["python"].keys() == {"us", "wait_us", "lock_us"}
    assert set(found["parts"]) == {"it", "firm", "soft"}
    assert "python" not in lines()["logged-2"]


def log_of(service: Service) -> str:
    """What the service says, which is in its access log where it has one."""
    return str(service.access_log.read_text())


def test_code_that_blocks_costs_its_own_requests_only(upstream: Upstream, tmp_path: Path) -> None:
    """RELIABILITY A09: the loop is held; the plane answers, in time and with what it has."""
    with serving(tmp_path, upstream, CODE) as service:
        replies = []
        clients = [
            threading.Thread(target=lambda: replies.append(get(service.port, "/slow/x")))
            for _ in range(2)
        ]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        # The first blocks the loop, so the second is not even begun: both are late.
        for reply in replies:
            assert reply.status == 200
            assert reply.headers["tailrace-degraded"] == "nap;reason=deadline"
        assert get(service.port, "/slow/x").status == 200
        assert get(service.port, "/declared/x").status == 200
        assert get(service.admin_port, "/livez").status == 200
        label = 'view="slow"'
        assert metric(service, "tailrace_computed_in_flight", label) >= 1
        log = tmp_path / "service.log"
        held = "computed field `slow.nap` has held the event loop"
        eventually(held, lambda: held in log.read_text())
        eventually("counted", lambda: metric(service, "tailrace_computed_stalls_total", label) >= 1)


@dataclass(frozen=True)
class Hostile:
    body: str
    said: str


HOSTILE: Final = {
    "interrupts": Hostile("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "stops the loop": Hostile("asyncio.get_running_loop().stop()\n        return 1", ""),
    "forks": Hostile("return os.fork() and 1", "a handler forked and its child returned"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_code_hurts_nobody_else(name: str, upstream: Upstream, tmp_path: Path) -> None:
    hostile = HOSTILE[name]
    code = f"""
@service.view("/hostile/{{id}}")
class HostileView(View):
    it: Thing = strong(up.get("/things/{{id}}"))

    @computed(default=0)
    def value(self) -> int:
        {hostile.body}
"""
    with serving(tmp_path, upstream, CODE + code) as service:
        for _ in range(2):
            assert get(service.port, "/hostile/x").status == 200
        assert get(service.port, "/fails/x/not").json["firm"] == 1
        log = tmp_path / "service.log"
        eventually("it is said", lambda: hostile.said in log.read_text())


# The loop waits in the plane while fields are made; what their code asks of it still happens.
@pytest.mark.parametrize(("asks", "ran"), [("both", ["soon", "later"]), ("timer", ["later"])])
def test_what_the_code_of_a_field_asks_of_its_loop_happens(
    asks: str, ran: list[str], upstream: Upstream, tmp_path: Path
) -> None:
    with serving(tmp_path, upstream, CODE) as service:
        assert get(service.port, f"/asks/{asks}").json["ran"] == []
        # Read by requests that ask nothing more of it: each of them would wait on.
        eventually("ran", lambda: get(service.port, f"/asks/{asks}").json["ran"] == ran)


# Batches that follow one another without a pause leave the loop its turns.
def test_handlers_and_timers_go_on_while_fields_are_always_waiting(service: Service) -> None:
    ended = threading.Event()
    replies: list[int] = []

    def hammer() -> None:
        while not ended.is_set():
            replies.append(get(service.port, "/busy/x").status)

    threads = [threading.Thread(target=hammer) for _ in range(16)]
    for thread in threads:
        thread.start()
    try:
        eventually("busy", lambda: len(replies) > len(threads))
        assert [get(service.port, "/turns").status for _ in range(3)] == [200, 200, 200]
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert set(replies) == {200}
