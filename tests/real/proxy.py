"""An nginx of the test's own, in front of a plane, and what it says it forwarded.

Prevents guessing what a proxy made of hostile bytes: it logs each request it read, with the address
of the client it came from, and that log is read when nginx has ended. It is started in a folder of
the test's, without a master process, on free ports, and stopped by its process id.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import rows

sys.path.insert(0, str(rows.ROOT))

from examples.orders.processes import Program, StartError, free_ports

# What operators run: as installed, with kept-alive and unbuffered upstream connections, and with
# every header let through.
FLAVOURS: Final = {
    "default": "",
    "streaming": """
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_request_buffering off;
        proxy_buffering off;""",
    "permissive": """
        proxy_http_version 1.1;
        proxy_set_header Connection $http_connection;
        proxy_set_header Host $http_host;
        ignore_invalid_headers off;
        underscores_in_headers on;
        merge_slashes off;""",
}
TRIES: Final = 3
_SERVER: Final = """
    server {{
        listen 127.0.0.1:{port};{options}
        location / {{ proxy_pass http://plane; }}
    }}
"""
_CONFIGURATION: Final = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    log_format rows '$remote_addr $status [$upstream_status] $request_method $uri';
    access_log {folder}/access.log rows;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_header_timeout 1s;
    client_body_timeout 1s;
    keepalive_timeout 100ms;
    lingering_timeout 1s;
    upstream plane {{
        server 127.0.0.1:{plane};
        keepalive 4;
    }}
    {servers}
}}
"""


@dataclass(frozen=True)
class Logged:
    """One request as nginx read it; `forwarded` when an upstream answered it, or broke off."""

    client: str
    status: int
    forwarded: bool
    method: str
    path: str


class Nginx:
    """A running nginx: one port for each flavour."""

    def __init__(self, folder: Path, ports: dict[str, int], program: Program) -> None:
        self.ports = ports
        self._folder = folder
        self._program = program

    def log(self) -> list[Logged]:
        """Lets nginx finish, so that everything is written, and reads its log."""
        self._program.signal(signal.SIGQUIT)
        self._program.wait()
        lines = (self._folder / "access.log").read_text(encoding="utf-8").splitlines()
        return [_logged(line) for line in lines]


def _logged(line: str) -> Logged:
    client, status, rest = line.split(" ", 2)
    upstream, _, request = rest.removeprefix("[").partition("] ")
    method, _, path = request.partition(" ")
    return Logged(client, int(status), upstream != "-", method, path)


def version(program: str) -> str:
    """What `nginx -v` calls itself."""
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
    return (said.stderr or said.stdout).strip().removeprefix("nginx version: ")


def installed() -> str | None:
    """Where nginx is, if it is; administrators' folders are not on every user's path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def running(program: str, folder: Path, plane: int) -> Iterator[Nginx]:
    """Starts nginx in front of the plane on port `plane`; somebody may be given one of its ports
    before it listens, and then it gets others."""
    with ExitStack() as stack:
        for left in reversed(range(TRIES)):
            try:
                nginx = stack.enter_context(_started(program, folder, plane))
                break
            except StartError:
                if not left:
                    raise
        yield nginx


@contextmanager
def _started(program: str, folder: Path, plane: int) -> Iterator[Nginx]:
    ports = dict(zip(FLAVOURS, free_ports(len(FLAVOURS)), strict=True))
    servers = "".join(
        _SERVER.format(port=ports[name], options=options) for name, options in FLAVOURS.items()
    )
    configuration = folder / "nginx.conf"
    text = _CONFIGURATION.format(folder=folder, plane=plane, servers=servers)
    configuration.write_text(text, encoding="utf-8")
    argv = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]
    with Program("nginx", argv, log=folder / "output.log", ready_line=False) as process:
        for port in ports.values():
            process.await_status(f"http://127.0.0.1:{port}/", 200)
        yield Nginx(folder, ports, process)
