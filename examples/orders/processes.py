"""Starting, watching and stopping the processes the example is made of.

Prevents the usual ways a multi-process example goes wrong: waiting a fixed time for readiness (a
ready line or `/readyz` is awaited instead, and a process that died says so with its own words),
pipes nobody reads (long output goes to a file), and processes left behind (every program ends when
its `with` block does; upstreams also end when their starter dies). Waits are bounded by `PATIENCE`.
"""

import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .upstreams import NAMES

ROOT: Final = Path(__file__).resolve().parents[2]
# For machines under load: long enough to never matter when all is well.
PATIENCE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.02
# What a service would rightly do when its machine is busy, and what decides a test by the machine.
CALM: Final = {"TAILRACE_ADMISSION_SHED": "off", "TAILRACE_ADMISSION_BROWNOUT": "off"}


class StartError(RuntimeError):
    """A program ended, or stayed silent, before it was ready."""


class Program:
    """One child process, known by name; it never outlives its `with` block."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        ready_line: bool = True,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if ready_line else sink,
                stderr=sink,
            )

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def ready(self, patience: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The JSON line a program prints when it serves."""
        assert self.process.stdout is not None, "started without a ready line"
        pipe, received, deadline = self.process.stdout.fileno(), b"", time.monotonic() + patience
        while not received.endswith(b"\n"):
            readable, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(pipe, 4096) if readable else b""
            if not chunk:
                # Its end of the pipe is closed: give the exit code a moment to be known.
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(1)
                raise self.did_not_start("printed no ready line")
            received += chunk
        facts: dict[str, Any] = json.loads(received)
        return facts

    def await_status(self, url: str, status: int, patience: float = PATIENCE_SECONDS) -> None:
        """Asks `url` until it answers `status`; for programs that tell by HTTP that they serve."""
        deadline = time.monotonic() + patience
        while status_of(url) != status:
            if not self.running or time.monotonic() > deadline:
                raise self.did_not_start(f"{url} did not answer {status}")
            time.sleep(POLL_SECONDS)

    def did_not_start(self, what: str) -> StartError:
        state = "is running" if self.running else f"ended with {self.process.returncode}"
        words = self.log.read_text(errors="replace")[-2_000:].strip() or "(it said nothing)"
        return StartError(f"{self.name} {what} and {state}; its output:\n{words}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def wait(self, patience: float = PATIENCE_SECONDS) -> int:
        return self.process.wait(patience)

    def stop(self, patience: float = 10.0) -> int:
        """Asks it to end, insists after `patience`, and closes its pipes."""
        if self.running:
            self.process.terminate()
            # A stopped process (SIGSTOP) would only act on the request once continued.
            self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return self.process.returncode


def status_of(url: str) -> int | None:
    """The status `url` answers with, or None when nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=10)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def await_silence(url: str, patience: float = PATIENCE_SECONDS) -> None:
    """Returns when nobody answers at `url` any more."""
    deadline = time.monotonic() + patience
    while status_of(url) is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} still answers")
        time.sleep(POLL_SECONDS)


def free_ports(count: int) -> list[int]:
    """Ports nobody holds now; held together while choosing, so that they differ."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def upstream(name: str, data: Path, logs: Path, port: int = 0) -> Program:
    """Starts one upstream service; its URL is in its ready line."""
    return Program(
        name,
        [
            *(sys.executable, "-m", f"examples.orders.upstreams.{name}"),
            *("--data", str(data), "--port", str(port), "--stop-on-eof"),
        ],
        log=logs / f"{name}.log",
    )


@contextmanager
def all_upstreams(data: Path, logs: Path, port_base: int = 0) -> Iterator[dict[str, Program]]:
    """Starts the five side by side; they may not be ready yet."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                upstream(name, data, logs, port_base + offset if port_base else 0)
            )
            for offset, name in enumerate(NAMES)
        }


def url_overrides(urls: Mapping[str, str]) -> dict[str, str]:
    """Environment that points the order service at `urls` without touching its code."""
    return {f"TAILRACE_UPSTREAMS_{name.upper()}_URL": url for name, url in urls.items()}


def tailrace_command() -> str:
    """The `tailrace` of this interpreter's environment, else the first on the path."""
    beside = Path(sys.executable).with_name("tailrace")
    found = str(beside) if beside.exists() else shutil.which("tailrace")
    if found is None:
        raise StartError("there is no `tailrace` command; run `make setup` first")
    return found


class Service:
    """`tailrace serve` on ports of its own, where a busy machine is no overload."""

    url: str
    """Known, as the others, from the moment it is ready."""
    admin: str
    port: int
    admin_port: int

    def __init__(
        self,
        target: str,
        *,
        log: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._said_before = log.stat().st_size if log.exists() else 0
        # The system chooses: a port that was only looked for may be another's by the time it is
        # bound.
        self.program = Program(
            "tailrace serve",
            [*(tailrace_command(), "serve", target), *("--port", "0", "--admin-port", "0")],
            log=log,
            environment=CALM | dict(environment),
            ready_line=False,
        )

    def __enter__(self) -> "Service":
        try:
            self.url = self._said(r" serves on (http://\S+)$")
            self.admin = self._said(r"^admin (http://[^\s/]+)")
            self.port, self.admin_port = (
                int(one.rsplit(":")[-1]) for one in (self.url, self.admin)
            )
            self.program.await_status(f"{self.admin}/readyz", 200)
        except BaseException:
            self.program.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()

    def _said(self, pattern: str, patience: float = PATIENCE_SECONDS) -> str:
        """What it says about itself when it starts."""
        deadline = time.monotonic() + patience
        while True:
            said = self.program.log.read_bytes()[self._said_before :].decode(errors="replace")
            # A line that is still being written has no end.
            if found := re.search(pattern, said[: said.rfind("\n") + 1], re.MULTILINE):
                return found[1]
            if not self.program.running or time.monotonic() > deadline:
                raise self.program.did_not_start("did not say where it serves")
            time.sleep(POLL_SECONDS)

    def connect(self, patience: float = PATIENCE_SECONDS) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
