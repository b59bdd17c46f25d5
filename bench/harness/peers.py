"""The peers: how each is built, started and judged.

A peer whose tool is not on this machine is skipped with the reason, and shown as skipped, rather
than left out in silence. A peer that fails to build or to answer stops the run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.lab import NAMES
from harness.machine import BENCH, ROOT, WORK, BenchError, first_line
from harness.tailrace_build import build_tailrace

PEERS = BENCH / "peers"
VENV = WORK / "venv"
BIN = WORK / "bin"


class MissingToolError(Exception):
    """A tool this peer needs is not here; the message names it."""


@dataclass(frozen=True)
class Start:
    """One start of a peer: its port and how many workers or cores it may use."""

    port: int
    workers: int
    upstreams: tuple[str, ...]

    @property
    def work(self) -> Path:
        """A folder of its own for this start."""
        return WORK / "run" / str(self.port)


@dataclass(frozen=True)
class Command:
    """What to run for a start."""

    argv: Sequence[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None


@dataclass(frozen=True)
class Peer:
    """One side of the comparison."""

    name: str
    title: str
    kind: str  # "projected", "computed" or "spliced", see bodies.py
    build: Callable[[], str]  # returns its version; raises MissingToolError
    command: Callable[[Start], Command]
    rate_cap: float | None = None  # a rate it sustains on one core, when the common one is too high
    scales: bool = False  # takes part in the two-worker measure


def run_build(argv: Sequence[str], cwd: Path, env: dict[str, str] | None = None) -> None:
    """Run one build step, or stop the run with its last words."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(
            f"{' '.join(argv)} failed in {cwd}:\n{(done.stderr or done.stdout)[-2000:]}"
        )


def need(tool: str, hint: str) -> None:
    """Skip the peer unless a tool is here."""
    if shutil.which(tool) is None:
        raise MissingToolError(f"{tool} is not installed ({hint})")


def common_env(start: Start) -> dict[str, str]:
    """The contract of every peer: port, upstreams, workers, access log."""
    return {
        "PORT": str(start.port),
        "UPSTREAMS": ",".join(start.upstreams),
        "WORKERS": str(start.workers),
        "ACCESS_LOG": str(start.work / "access.log"),
    }


def build_floor() -> str:
    """Compile the floor for this very machine: it is the unit, so it gets every advantage."""
    need("cc", "a C compiler")
    flags = ["-O3", "-march=native", "-Wall", "-Wextra", "-Werror"]
    run_build(["cc", *flags, "-o", str(BIN / "floor"), "floor.c"], PEERS / "floor")
    return first_line("cc", "--version") or "cc"


def start_floor(start: Start) -> Command:
    """Start the floor."""
    return Command([str(BIN / "floor")], common_env(start))


def go_builder(folder: str, binary: str, env: dict[str, str]) -> Callable[[], str]:
    """A build step for a Go peer; `GOAMD64=v3` where the machine has it, as for the others."""

    def build() -> str:
        need("go", "Go 1.26 or newer")
        wide = "avx2" in Path("/proc/cpuinfo").read_text()
        tuned = {"GOAMD64": "v3"} if wide else {}
        run_build(
            ["go", "build", "-trimpath", "-o", str(BIN / binary), "."],
            PEERS / folder,
            {"GOFLAGS": "-mod=readonly", **tuned, **env},
        )
        return first_line("go", "version") or "go"

    return build


def go_starter(binary: str, env: dict[str, str]) -> Callable[[Start], Command]:
    """A start of a Go peer: as many running threads as workers."""

    def command(start: Start) -> Command:
        limits = {"GOMAXPROCS": str(start.workers), **env}
        return Command([str(BIN / binary)], {**common_env(start), **limits})

    return command


def build_nginx() -> str:
    """nginx comes from the distribution: look for it and its Lua module."""
    need("nginx", "packages nginx and libnginx-mod-http-lua")
    if not Path("/usr/share/nginx/modules/ngx_http_lua_module.so").exists():
        raise MissingToolError("nginx has no Lua module (package libnginx-mod-http-lua)")
    return first_line("nginx", "-v") or "nginx"


def start_nginx(start: Start) -> Command:
    """Fill the template and start nginx in the foreground."""
    work = start.work
    text = (PEERS / "nginx-lua" / "nginx.conf").read_text()
    values = {
        "work": str(work),
        "peer": str(PEERS / "nginx-lua"),
        "port": str(start.port),
        "workers": str(start.workers),
        "access_log": str(work / "access.log"),
        # Started by root, workers become www-data, which may not enter the work folder.
        "user": "user root;" if os.getuid() == 0 else "",
    }
    for name, address in zip(NAMES, start.upstreams, strict=True):
        values[name] = address.removeprefix("http://")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (work / "nginx.conf").write_text(text)
    argv = ["nginx", "-p", "/usr/share/nginx", "-c", str(work / "nginx.conf")]
    return Command([*argv, "-e", str(work / "error.log")])


def build_python() -> str:
    """A virtual environment of the benchmark's own, from the hash-pinned list where it exists."""
    if not (VENV / "bin" / "python").exists():
        run_build([sys.executable, "-m", "venv", str(VENV)], BENCH)
    pinned = ["--require-hashes", "-r", str(ROOT / "requirements" / "bench.txt")]
    run_build([str(VENV / "bin" / "python"), "-m", "pip", "install", "-q", *pinned], BENCH)
    show = "import fastapi, uvicorn; print(f'fastapi {fastapi.__version__}, '"
    show += " f'uvicorn {uvicorn.__version__}')"
    return first_line(str(VENV / "bin" / "python"), "-c", show) or "fastapi"


def python_env(start: Start) -> dict[str, str]:
    """The common contract, and the models that all Python peers share."""
    return {**common_env(start), "PYTHONPATH": str(PEERS / "python-models")}


def python_starter(folder: str) -> Callable[[Start], Command]:
    """Start a FastAPI peer under uvicorn with its fast loop and parser, and no access log."""

    def command(start: Start) -> Command:
        argv = [str(VENV / "bin" / "uvicorn"), "app:app", "--host", "127.0.0.1"]
        argv += ["--port", str(start.port), "--workers", str(start.workers)]
        argv += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
        argv += ["--log-level", "warning", "--backlog", "4096", "--timeout-keep-alive", "300"]
        return Command(argv, python_env(start), PEERS / folder)

    return command


def build_service() -> str:
    """Build tailrace as it is published, next to the Python peers."""
    build_python()
    return build_tailrace(VENV)


def tailrace_starter(folder: str) -> Callable[[Start], Command]:
    """How the service in a peer's folder is started."""
    return lambda start: start_tailrace(start, folder)


def start_tailrace(start: Start, folder: str = "tailrace") -> Command:
    """Start the declared view, with every default but one limit.

    The idle measure holds 5 000 connections, and the default refuses more than 4 096.
    """
    argv = [str(VENV / "bin" / "tailrace"), "serve", "service:service"]
    argv += ["--port", str(start.port), "--admin-port", "0", "--workers", str(start.workers)]
    argv += ["--access-log", str(start.work / "access.log")]
    limits = {"TAILRACE_LIMITS_CONNECTIONS_MAX": "16384"}
    return Command(argv, {**python_env(start), **limits}, PEERS / folder)


GO_TUNED = {"GOGC": "400", "GOMEMLIMIT": "512MiB"}

ALL = (
    Peer("floor", "floor (C, no safety)", "spliced", build_floor, start_floor, scales=True),
    Peer(
        "tailrace",
        "tailrace, declared view",
        "projected",
        build_service,
        start_tailrace,
        scales=True,
    ),
    Peer(
        "tailrace-computed",
        "the same with one @computed field",
        "computed",
        build_service,
        tailrace_starter("tailrace-computed"),
    ),
    Peer(
        "tailrace-handler",
        "tailrace, async Python handler",
        "projected",
        build_service,
        tailrace_starter("tailrace-handler"),
    ),
    Peer(
        "nginx-lua",
        "nginx + Lua subrequests (bytes spliced)",
        "spliced",
        build_nginx,
        start_nginx,
        scales=True,
    ),
    Peer(
        "go-governed",
        "Go, governed net/http service",
        "projected",
        go_builder("go-governed", "go-governed", {}),
        go_starter("go-governed", GO_TUNED),
        scales=True,
    ),
    Peer(
        "go-governed-jsonv2",
        "the same with Go's experimental JSON",
        "projected",
        go_builder("go-governed", "go-governed-jsonv2", {"GOEXPERIMENT": "jsonv2"}),
        go_starter("go-governed-jsonv2", GO_TUNED),
    ),
    Peer(
        "go-naive",
        "Go, naive",
        "projected",
        go_builder("go-naive", "go-naive", {}),
        go_starter("go-naive", {}),
    ),
    Peer(
        "lura",
        "Lura 2.14.1 (the KrakenD engine)",
        "projected",
        go_builder("lura", "lura", {}),
        go_starter("lura", GO_TUNED),
    ),
    Peer(
        "fastapi-aiohttp",
        "FastAPI + aiohttp",
        "projected",
        build_python,
        python_starter("fastapi-aiohttp"),
        rate_cap=400,
    ),
    Peer(
        "fastapi-tailrace",
        "FastAPI + tailrace.Client",
        "projected",
        build_service,
        python_starter("fastapi-tailrace"),
        rate_cap=400,
    ),
    Peer(
        "fastapi-httpx",
        "FastAPI + httpx",
        "projected",
        build_python,
        python_starter("fastapi-httpx"),
        rate_cap=60,
    ),
)


def choose(names: str | None) -> list[Peer]:
    """The peers of a run; the floor is always one of them, because it is the unit."""
    if names is None:
        return list(ALL)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {peer.name for peer in ALL}
    for name in wanted:
        if name not in known:
            raise BenchError(f"no peer {name!r}; there are {', '.join(sorted(known))}")
    return [peer for peer in ALL if peer.name in {"floor", *wanted}]
