"""What a service with Python in it says of itself: logs, pauses, and no secret (req 5.2, 12.1).

Prevents a traceback that cannot be put beside its request, a garbage collection nobody sees, and a
credential that is kept in a log for years (RELIABILITY S22).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from python_side import Upstream, ask, eventually, get, metric, serving

from examples.orders.processes import PATIENCE_SECONDS, Service

pytestmark = pytest.mark.e2e

CODE = """
import gc
import logging

log = logging.getLogger("shop")


@service.get("/says/{id}")
async def says(id: str, scope: Scope) -> Thing:
    log.warning("looked at %s\\n1 GET \\"/\\" forged", id)
    log.info("not asked for")
    return Thing(id=scope.request_id)


@service.get("/raises/{id}")
async def raises(id: str) -> Thing:
    raise LookupError(f"no {id}\\nno line")


@service.get("/collects")
async def collects() -> Thing:
    gc.collect()
    return Thing(id="done")


@service.get("/calls/{id}")
async def calls(id: str) -> Thing:
    return await up.get("/things/{id}", Thing, id=id)


class Login(BaseModel):
    user: str
    password: str


@service.post("/login")
async def login(given: Login = body()) -> Thing:
    return Thing(id=given.user)


@service.view("/reset/{reset_token}")
class Reset(View):
    it: Thing = strong(up.get("/things/x"))
"""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    found = Upstream()
    yield found
    found.close()


def started(folder: Path, upstream: Upstream, log_format: str) -> Any:
    given = {"TAILRACE_ACCESS_LOG_FORMAT": log_format, "TAILRACE_LISTEN_WORKERS": "1"}
    return serving(folder, upstream, CODE, **given)


def lines(folder: Path) -> list[dict[str, Any]]:
    """The log's lines; what the process says when it starts is no JSON."""
    text = (folder / "service.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_what_a_handler_logs_has_its_request_id(tmp_path: Path, upstream: Upstream) -> None:
    with started(tmp_path, upstream, "json") as service:
        assert get(service.port, "/says/7", **{"X-Request-Id": "r-1"}).json == {"id": "r-1"}
        assert get(service.port, "/raises/8", **{"X-Request-Id": "r-2"}).status == 500
        eventually("both are written", lambda: len(lines(tmp_path)) >= 4)
    said = {line["request_id"]: line for line in lines(tmp_path) if "message" in line}
    assert set(said) == {"r-1", "r-2"}
    assert said["r-1"]["level"] == "WARNING"
    assert said["r-1"]["logger"] == "shop"
    assert said["r-1"]["message"] == 'looked at 7\n1 GET "/" forged'
    assert said["r-2"]["level"] == "ERROR"
    assert said["r-2"]["message"] == "handler `raises` failed (request r-2)"
    assert said["r-2"]["exception"].startswith("Traceback (most recent call last):\n")
    assert "LookupError: no 8\nno line" in said["r-2"]["exception"]
    requests = [line["request_id"] for line in lines(tmp_path) if "view" in line]
    assert sorted(requests) == ["r-1", "r-2"]


def test_text_keeps_a_traceback_readable_and_apart(tmp_path: Path, upstream: Upstream) -> None:
    with started(tmp_path, upstream, "text") as service:
        get(service.port, "/raises/8", **{"X-Request-Id": "r-2"})
        log = tmp_path / "service.log"
        eventually("it is written", lambda: "  | LookupError: no 8" in log.read_text())
        assert "  | no line\n" in log.read_text()
        line = ' ERROR tailrace "handler `raises` failed (request r-2)" id="r-2"\n'
        assert line in log.read_text()


def test_without_a_log_pythons_own_way_stays(tmp_path: Path, upstream: Upstream) -> None:
    with started(tmp_path, upstream, "off") as service:
        get(service.port, "/says/7")
        log = tmp_path / "service.log"
        eventually("it is written", lambda: 'looked at 7\n1 GET "/" forged' in log.read_text())
        assert metric(service, "tailrace_log_dropped_total") == 0


def test_a_service_that_configures_logging_keeps_it(tmp_path: Path, upstream: Upstream) -> None:
    code = CODE + '\nlogging.basicConfig(format="mine %(message)s")\n'
    given = {"TAILRACE_ACCESS_LOG_FORMAT": "json", "TAILRACE_LISTEN_WORKERS": "1"}
    with serving(tmp_path, upstream, code, **given) as service:
        get(service.port, "/says/7")
        log = tmp_path / "service.log"
        eventually("it is written", lambda: "mine looked at 7" in log.read_text())
        eventually("the request too", lambda: len(lines(tmp_path)) >= 1)
    assert [line for line in lines(tmp_path) if "message" in line] == []


def test_a_garbage_collection_is_seen(tmp_path: Path, upstream: Upstream) -> None:
    with started(tmp_path, upstream, "off") as service:
        name = "tailrace_python_gc_pause_seconds"
        before = metric(service, f"{name}_count", 'generation="2"')
        assert get(service.port, "/collects").status == 200
        assert metric(service, f"{name}_count", 'generation="2"') >= before + 1
        assert metric(service, f"{name}_sum", 'generation="2"') > 0


SECRET = "hunter2-{:02}"
HEADERS = [
    "Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token", "X-Csrf-Token",
    "X-Amz-Security-Token", "Set-Cookie", "X-Forwarded-For", "User-Agent", "Referer", "Origin",
    "X-Secret", "Traceparent", "Tracestate", "Baggage", "From", "X-Session",
]  # fmt: skip


def planted() -> list[tuple[str, bytes]]:
    """Secrets and the requests that carry them, one each."""
    found: list[tuple[str, bytes]] = []

    def plant(form: str, length: int | None = None) -> None:
        secret = SECRET.format(len(found))
        body = form.partition("\n\n")[2].format(secret=secret) if "\n\n" in form else ""
        head = form.partition("\n\n")[0].format(secret=secret).replace("\n", "\r\n")
        size = f"\r\nContent-Length: {len(body)}" if body else ""
        text = f"{head}\r\nHost: a\r\nConnection: close{size}\r\n\r\n{body}"
        found.append((secret, text.encode()))

    for header in HEADERS:
        plant(f"GET /declared/7 HTTP/1.1\n{header}: {{secret}}")
        if len(found) < 14:
            plant(f"GET /nowhere HTTP/1.1\n{header}: {{secret}}")
    for key in ("token", "password", "api_key", "q", "access_token", "code"):
        plant(f"GET /declared/7?{key}={{secret}} HTTP/1.1")
    plant("GET /nowhere?token={secret} HTTP/1.1")
    plant("GET /reset/{secret} HTTP/1.1")
    json_type = "Content-Type: application/json"
    plant(f'POST /login HTTP/1.1\n{json_type}\n\n{{{{"user": "u", "password": "{{secret}}"}}}}')
    plant(f'POST /login HTTP/1.1\n{json_type}\n\n{{{{"user": "u", "passwort": "{{secret}}"}}}}')
    plant(f'POST /login HTTP/1.1\n{json_type}\n\n{{{{"user": 7, "password": "{{secret}}"}}}}')
    plant(f'POST /login HTTP/1.1\n{json_type}\n\n{{{{"user": "u", "password": "{{secret}}"')
    plant("GET /raises/7 HTTP/1.1\nAuthorization: Bearer {secret}")
    plant("GET /says/7 HTTP/1.1\nCookie: session={secret}")
    plant("GET /calls/7?key={secret} HTTP/1.1")
    plant("BREW /declared/7 HTTP/1.1\nAuthorization: {secret}")
    return found


def shown(service: Service, folder: Path) -> str:
    """All that the process says of itself."""
    pages = ["/", "/metrics", "/stats", "/config", "/blueprint", "/openapi.json", "/docs"]
    pages += ["/live", "/receipts?limit=1000", "/why"]
    said = [get(service.admin_port, page).body.decode() for page in pages]
    for profile in ("tasks", "heap"):
        looked = ask(service.admin_port, "POST", f"/profile/{profile}", b"", "text/plain")
        assert looked.status == 200, looked.body
        said.append(looked.body.decode())
    accept = {"Accept": "application/openmetrics-text"}
    said.append(get(service.admin_port, "/metrics", **accept).body.decode())
    said.append((folder / "service.log").read_text(encoding="utf-8"))
    return "\n".join(said)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_is_shown_anywhere(tmp_path: Path, upstream: Upstream, log_format: str) -> None:
    token = tmp_path / "admin-token"
    token.write_text("hunter2-admin-token-0123456789abcdef\n", encoding="utf-8")
    token.chmod(0o600)
    given = {
        "TAILRACE_ACCESS_LOG_FORMAT": log_format,
        "TAILRACE_LISTEN_WORKERS": "1",
        "TAILRACE_LISTEN_ADMIN_TOKEN_FILE": str(token),
        "SHOP_DATABASE_PASSWORD": "hunter2-environment",
    }
    secrets = planted()
    assert len(secrets) >= 40
    with serving(tmp_path, upstream, CODE, **given) as service:
        said = [exchange(service.port, request) for _, request in secrets]
        refused = ask(service.admin_port, "POST", "/config", b"{}", "application/json")
        assert refused.status == 401
        eventually("all are written", lambda: written(tmp_path) >= len(secrets))
        everything = shown(service, tmp_path) + "\n".join(said)
    everything += (tmp_path / "service.log").read_text(encoding="utf-8")
    found = [line[:200] for line in everything.splitlines() if "hunter2" in line]
    assert found == []
    print(f"S22: {len(secrets) + 2} planted secrets, 0 in {len(everything)} characters of output")


def exchange(port: int, request: bytes) -> str:
    """Sends the bytes; what comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(64 * 1024):
            received += chunk
    return received.decode("latin-1")


def written(folder: Path) -> int:
    """Lines of requests."""
    text = (folder / "service.log").read_text(encoding="utf-8")
    return sum(line.startswith('{"time_ms"') or line[:13].isdigit() for line in text.splitlines())
