"""Handlers in a served process: parameters, calls, failures, cancellation, measurements."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from python_side import Upstream, ask, eventually, get, metric, serving

from examples.orders.processes import Service

pytestmark = pytest.mark.e2e

CODE = """
import datetime
import decimal
import enum
import uuid
from pydantic import Field
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

WHERE = ContextVar("where", default="nowhere")


class Color(enum.Enum):
    RED = "red"


@dataclass
class Seen:
    text: str
    number: int
    share: float
    flag: bool
    day: datetime.date
    key: uuid.UUID
    color: Color
    kind: Literal["a", "b"]
    tenant: str | None
    request_id: str
    remaining: bool


@service.get("/seen/{text}/{number}")
async def seen(
    text: str,
    number: int,
    scope: Scope,
    share: float = query(),
    flag: bool = query(default=False),
    day: datetime.date = query(),
    key: uuid.UUID = query(),
    color: Color = query(),
    kind: Literal["a", "b"] = query(),
    tenant: str | None = header("x-tenant"),
) -> Seen:
    left = 0 < scope.remaining <= 10 and scope.deadline > asyncio.get_running_loop().time()
    return Seen(
        text, number, share, flag, day, key, color, kind, tenant, scope.request_id, left
    )


@service.get("/pair/{id}")
async def pair(id: str, scope: Scope) -> Pair:
    one, other = await scope.all(
        up.get("/things/{id}", Thing, id=id),
        scope.weak(broken.get("/status/{id}", Thing, id=503), name="other"),
    )
    return Pair(one=one, other=other)


@service.get("/chain/{id}")
async def chain(id: str) -> Pair:
    one = await up.get("/things/{id}", Thing, query={"v": "{v}", "w": "{w}"}, id=id, v=1, w=None)
    return Pair(one=one, other=await up.get("/things/{id}", Thing, id=one.id + "/b"))


@service.get("/tasks/{id}")
async def tasks(id: str) -> bytes:
    WHERE.set("handler")

    async def ask(value: str) -> str:
        thing = await up.get("/things/{id}", Thing, id=value)
        return f"{thing.id} {WHERE.get()}"

    async with asyncio.TaskGroup() as group:
        one, other = group.create_task(ask("1")), group.create_task(ask("2"))
    try:
        async with asyncio.timeout(0.05):
            await up.get("/hang/{id}", Thing, id=id)
    except TimeoutError:
        return f'["{one.result()}", "{other.result()}", "timed out"]'.encode()
    return b"[]"


@service.get("/strong/{status}")
async def strong_call(status: int) -> Thing:
    return await broken.get("/status/{status}", Thing, status=status)


@service.get("/grouped")
async def grouped() -> Thing:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_ask(broken.get("/status/{status}", Thing, status=404)))
    return task.result()


async def _ask(call):
    return await call


@service.get("/caught/{status}")
async def caught(status: int) -> bytes:
    try:
        await broken.get("/status/{status}", Thing, status=status)
    except CallFailed as failed:
        said = f'"{failed.upstream}", "{failed.reason}", {failed.status}, {failed.answered}'
        return f"[{said}]".encode()
    return b"[]"


@service.get("/sibling")
async def sibling(scope: Scope) -> Pair:
    one, other = await scope.all(
        up.get("/hang/{id}", Thing, id="sibling"), broken.get("/status/{s}", Thing, s=404)
    )
    return Pair(one=one, other=other)


@service.get("/hang/{id}", limit=2)
async def hang(id: str) -> Thing:
    return await up.get("/hang/{id}", Thing, id=id)


@service.get("/wrong")
async def wrong() -> Pair:
    return {"one": {"id": 7}}


@service.get("/raises")
async def raises() -> Pair:
    raise LookupError("the secret of raises")


@service.get("/formatted")
async def formatted() -> Thing:
    return await up.get(f"/things/{17}", Thing)


class Draft(BaseModel):
    user_id: str = Field(alias="userId")
    lines: list[int]


class Echo(BaseModel):
    id: str
    method: str
    sent: str
    type: str | None
    key: str | None


@service.post("/drafts/{id}")
async def create(id: str, draft: Draft = body()) -> Echo:
    return await up.post(
        "/things/{id}", Echo, json=draft, idempotency_key="{key}", id=id, key=f"k-{draft.user_id}"
    )


@service.put("/drafts/{id}")
async def replace(id: str, note: str = form()) -> Echo:
    return await up.put("/things/{id}", Echo, form={"note": "{note}"}, id=id, note=note)


@service.patch("/drafts/{id}")
async def change(id: str) -> Echo:
    return await up.patch("/things/{id}", Echo, json={"a": [1, None, "ü"]}, id=id)


@service.delete("/drafts/{id}")
async def remove(id: str) -> Echo:
    return await up.delete("/things/{id}", Echo, id=id)


@service.get("/threaded/{id}", threads=2)
def threaded(id: str, scope: Scope) -> Thing:
    return scope.wait(up.get("/things/{id}", Thing, id=id))
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    started = Upstream()
    yield started
    started.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("handlers")


@pytest.fixture(scope="module")
def service(folder: Path, upstream: Upstream) -> Iterator[Service]:
    with serving(folder, upstream, CODE) as running:
        yield running


def test_parameters_come_checked_and_typed(service: Service) -> None:
    key = "12345678-1234-5678-1234-567812345678"
    rest = f"share=1.5&day=2026-11-24&key={key}&color=red&kind=a"
    reply = get(service.port, f"/seen/a%20b/7?{rest}", **{"X-Tenant": "t", "X-Request-Id": "r1"})
    assert reply.status == 200, reply.body
    assert reply.json == {
        "text": "a b",
        "number": 7,
        "share": 1.5,
        "flag": False,
        "day": "2026-11-24",
        "key": key,
        "color": "red",
        "kind": "a",
        "tenant": "t",
        "request_id": "r1",
        "remaining": True,
    }
    refused = get(service.port, f"/seen/a/x?{rest}")
    assert (refused.status, refused.json["parameter"]) == (400, "number")
    assert get(service.port, f"/seen/a/7?{rest}".replace("kind=a", "kind=c")).status == 400
    assert get(service.port, "/seen/a/7").json["code"] == "missing_parameter"


def test_weak_calls_degrade_the_reply_and_say_so(service: Service) -> None:
    reply = get(service.port, "/pair/x")
    assert (reply.status, reply.json) == (200, {"one": {"id": "x"}, "other": None})
    assert reply.headers["tailrace-degraded"] == "other;reason=server_error"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] == "application/json"
    assert metric(service, "tailrace_degraded_replies_total", 'view="pair"') >= 1


def test_values_are_encoded_where_they_stand(service: Service, upstream: Upstream) -> None:
    reply = get(service.port, "/chain/c")
    assert reply.json == {"one": {"id": "c"}, "other": {"id": "c%2Fb"}}
    assert upstream.seen["/things/c?v=1"] == 1
    assert upstream.seen["/things/c%2Fb"] == 1


def test_task_groups_timeouts_and_context_work(service: Service, upstream: Upstream) -> None:
    gone = upstream.gone
    reply = get(service.port, "/tasks/t")
    assert reply.json == ["1 handler", "2 handler", "timed out"]
    eventually("the upstream sees the cancelled call end", lambda: upstream.gone > gone)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/strong/404", 404, "not_found"),
        ("/strong/410", 410, "gone"),
        ("/strong/409", 502, "client_error"),
        ("/strong/500", 502, "server_error"),
        ("/grouped", 404, "not_found"),
        ("/sibling", 404, "not_found"),
        ("/wrong", 500, "handler_error"),
        ("/raises", 500, "handler_error"),
        ("/formatted", 500, "handler_error"),
    ],
)
def test_a_failure_becomes_the_documented_problem(
    service: Service, path: str, status: int, code: str
) -> None:
    reply = get(service.port, path)
    assert (reply.status, reply.json["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert b"secret" not in reply.body
    assert b"Traceback" not in reply.body
    if code != "handler_error":
        assert reply.json["part"] == "broken"


def test_the_log_has_the_traceback_and_the_hint(service: Service, folder: Path) -> None:
    get(service.port, "/raises", **{"X-Request-Id": "traced"})
    get(service.port, "/formatted")
    log = folder / "service.log"
    eventually("it is written", lambda: "TR142" in log.read_text())
    text = log.read_text()
    assert "handler `raises` failed (request traced)" in text
    assert "LookupError: the secret of raises" in text
    assert "segment `17` of '/things/17' looks like a value" in text


def test_a_caught_failure_says_what_happened(service: Service) -> None:
    assert get(service.port, "/caught/409").json == ["broken", "client_error", 502, 409]
    assert get(service.port, "/caught/200").json == []


def test_the_first_strong_failure_ends_the_calls_beside_it(
    service: Service, upstream: Upstream
) -> None:
    gone = upstream.gone
    assert get(service.port, "/sibling").status == 404
    eventually("the sibling ends", lambda: upstream.gone > gone)


def test_a_client_that_leaves_cancels_the_handler_and_its_calls(
    service: Service, upstream: Upstream
) -> None:
    """RELIABILITY A04."""
    gone = upstream.gone
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.request("GET", "/hang/left")
    eventually("the call runs", lambda: upstream.seen["/hang/left"] == 1)
    connection.close()
    eventually("the call ends", lambda: upstream.gone > gone)
    eventually("the handler ends", lambda: metric(service, "tailrace_handler_in_flight") == 0)
    eventually("its place is free", lambda: metric(service, "tailrace_bulkhead_in_flight") == 0)


def test_a_full_handler_refuses_at_once(service: Service, upstream: Upstream) -> None:
    held = [http.client.HTTPConnection("127.0.0.1", service.port, timeout=20) for _ in range(2)]
    for connection in held:
        connection.request("GET", "/hang/full")
    eventually("both run", lambda: upstream.seen["/hang/full"] == 2)
    refused = get(service.port, "/hang/more")
    assert (refused.status, refused.json["code"]) == (503, "handler_full")
    assert int(refused.headers["retry-after"]) >= 1
    assert metric(service, "tailrace_handler_refused_total", 'view="hang"') == 1
    for connection in held:
        connection.close()
    eventually("they end", lambda: metric(service, "tailrace_handler_in_flight") == 0)


def test_a_plain_function_runs_in_its_threads(service: Service) -> None:
    assert get(service.port, "/threaded/x").json == {"id": "x"}


def test_every_method_has_its_handler_and_its_call(service: Service) -> None:
    """req 9.4: a POST has its key; what was sent is what the model says, under its aliases."""
    sent = b'{"userId": "u", "lines": [1, 2], "other": 0}'
    reply = ask(service.port, "POST", "/drafts/1", sent, "application/json")
    assert reply.status == 200, reply.body
    assert reply.json == {
        "id": "1",
        "method": "POST",
        "sent": '{"userId":"u","lines":[1,2]}',
        "type": "application/json",
        "key": "k-u",
    }
    form = ask(
        service.port, "PUT", "/drafts/1", b"note=a+%26b", "application/x-www-form-urlencoded"
    )
    assert (form.json["method"], form.json["sent"]) == ("PUT", "note=a%20%26b")
    patched = ask(service.port, "PATCH", "/drafts/1")
    assert (patched.json["method"], patched.json["sent"]) == ("PATCH", '{"a":[1,null,"ü"]}')
    assert ask(service.port, "DELETE", "/drafts/1").json["method"] == "DELETE"
    wrong = ask(service.port, "POST", "/drafts/1", b'{"userId": "u"}', "application/json")
    assert (wrong.status, wrong.json["code"]) == (400, "bad_body")
    assert get(service.port, "/drafts/1").headers["allow"] == "POST, PUT, PATCH, DELETE, OPTIONS"


def test_a_drain_lets_handlers_finish(upstream: Upstream, tmp_path: Path) -> None:
    """req 11.4."""
    code = """
@service.get("/slow")
async def slow() -> Thing:
    return await up.get("/gate/{id}", Thing, id="drain")
"""
    with serving(tmp_path, upstream, code) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        connection.request("GET", "/slow")
        eventually("it runs", lambda: metric(running, "tailrace_handler_in_flight") == 1)
        running.program.signal(signal.SIGTERM)
        eventually("it drains", lambda: get(running.admin_port, "/readyz").status == 503)
        upstream.gate.set()
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b'{"id":"drain"}')
        connection.close()
