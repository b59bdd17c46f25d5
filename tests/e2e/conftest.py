"""Real processes for the end-to-end tests: upstreams, `tailrace serve`, and ways to hurt them.

Prevents tests that pass or fail with the machine's mood: whatever a test is not about is given so
much time and room (`relaxed`) that a loaded machine cannot decide it, every start is awaited by a
ready line or `/readyz`, and whatever a test starts ends with it. The upstreams that no test hurts
are shared by the whole session; a test that kills or stops one gets its own.
"""

import http.client
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import tailrace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from python_side import Upstream

from examples.orders.processes import (
    PATIENCE_SECONDS,
    Program,
    Service,
    all_upstreams,
    upstream,
    url_overrides,
)
from examples.orders.truth import Truth
from examples.orders.upstreams import NAMES, generate, shop

TARGET = "examples.orders.service:service"
ORDERS = 2_000

Serve = Callable[..., Service]


def relaxed(*, keep_timeout_of: str | None = None) -> dict[str, str]:
    """Overrides that leave only failures to decide, never the speed of this machine.

    The longest chain of the order view is two calls, so 2 x 9 s stay within the deadline.
    """
    overrides = {"TAILRACE_SERVICE_DEADLINE": "20s"}
    for name in NAMES:
        overrides[f"TAILRACE_UPSTREAMS_{name.upper()}_BULKHEAD"] = "400"
        if name != keep_timeout_of:
            overrides[f"TAILRACE_UPSTREAMS_{name.upper()}_TIMEOUT"] = "9s"
    return overrides


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small shop, made once."""
    directory = tmp_path_factory.mktemp("shop") / "data"
    assert generate.generate(directory, size=shop.Size(orders=ORDERS))
    return directory


@pytest.fixture(scope="session")
def truth(data: Path) -> Truth:
    return Truth(data)


@pytest.fixture(scope="session")
def urls(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Five healthy upstreams, by name; no test may hurt these."""
    with all_upstreams(data, tmp_path_factory.mktemp("upstreams")) as programs:
        yield {name: program.ready()["url"] for name, program in programs.items()}


@pytest.fixture(scope="session")
def healthy(urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The order service over the healthy upstreams; no test may stop it."""
    log = tmp_path_factory.mktemp("service") / "service.log"
    with Service(TARGET, log=log, environment=relaxed() | url_overrides(urls)) as service:
        yield service


@pytest.fixture
def serve(urls: dict[str, str], tmp_path: Path) -> Iterator[Serve]:
    """Starts an order service of the test's own.

    `at` replaces upstream addresses by name; limits are relaxed, but for the timeout of
    `keep_timeout_of`, or with `as_declared` left as the service declares them.
    """
    with ExitStack() as stack:

        def start(
            at: Mapping[str, str],
            *,
            keep_timeout_of: str | None = None,
            as_declared: bool = False,
        ) -> Service:
            limits = {} if as_declared else relaxed(keep_timeout_of=keep_timeout_of)
            environment = limits | url_overrides({**urls, **at})
            log = tmp_path / "service.log"
            return stack.enter_context(Service(TARGET, log=log, environment=environment))

        yield start


@pytest.fixture
def own_upstream(data: Path, tmp_path: Path) -> Iterator[Callable[[str], tuple[Program, str]]]:
    """Starts an upstream the test may hurt; gives the process and its URL."""
    with ExitStack() as stack:

        def start(name: str) -> tuple[Program, str]:
            program = stack.enter_context(upstream(name, data, tmp_path))
            return program, program.ready()["url"]

        yield start


@pytest.fixture
def start_all(tmp_path: Path) -> Callable[[Path], Program]:
    """Starts the starter of all five upstreams on ports of their own; use it with `with`."""

    def start(data: Path) -> Program:
        command = [sys.executable, "-m", "examples.orders.upstreams", "--port-base", "0"]
        return Program("upstreams", [*command, "--data", str(data)], log=tmp_path / "starter.log")

    return start


@dataclass
class Gate:
    """An upstream that holds every request until told; knows when one has arrived.

    It makes "in flight" a fact a test can wait for; a slow upstream would only make it likely.
    """

    url: str
    arrived: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


def gate_handler(target: str, gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            gate.arrived.set()
            gate.opened.wait(PATIENCE_SECONDS)
            with closing(http.client.HTTPConnection(urlsplit(target).netloc)) as connection:
                connection.request("GET", self.path)
                response = connection.getresponse()
                body = response.read()
            self.send_response(response.status)
            self.send_header("Content-Type", response.headers["Content-Type"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps test output for what matters."""

    return Handler


@pytest.fixture
def users_gate(urls: dict[str, str]) -> Iterator[Gate]:
    """A gate before the healthy users service."""
    gate = Gate(url="")
    server = ThreadingHTTPServer(("127.0.0.1", 0), gate_handler(urls["users"], gate))
    server.daemon_threads = True
    gate.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="users-gate")
    thread.start()
    try:
        yield gate
    finally:
        gate.opened.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def scripted() -> Iterator[Upstream]:
    """An upstream that is a thread here; its paths say what it does."""
    started = Upstream()
    yield started
    started.close()


@pytest.fixture
def up(scripted: Upstream) -> tailrace.Upstream:
    """The scripted upstream as declared, without attempts of its own."""
    return tailrace.Upstream("up", scripted.url, timeout="9s", retry=None, throttle=None)
