"""How each upstream becomes a process: arguments, a ready line, a clean stop.

Prevents two classic flakes: a client that connects before the server listens (the ready line is
printed after it does, with the port the system chose), and servers left behind when whoever started
them died (`--stop-on-eof` ends the process when its standard input closes).
"""

import argparse
import json
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeAlias

import uvicorn
from fastapi import FastAPI, HTTPException, Response

from .generate import database_path, default_directory

Build: TypeAlias = Callable[[sqlite3.Connection], FastAPI]

# Above the 4 s after which the plane closes an idle connection: the side that closes first must be
# the one that may still send a request, or a request meets a closing connection.
KEEP_ALIVE_SECONDS: Final = 15


class Server(uvicorn.Server):
    """Uvicorn that says on standard output, once, where it listens."""

    def __init__(self, config: uvicorn.Config, name: str) -> None:
        super().__init__(config)
        self.name = name

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            line = {"service": self.name, "url": f"http://{host}:{port}", "pid": os.getpid()}
            print(json.dumps(line), flush=True)


def open_database(path: Path) -> sqlite3.Connection:
    """Opens a finished file as what it is: read-only and immutable, so without locks."""
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    # Handlers run on the event loop's thread, and lookups by primary key take microseconds, so one
    # connection serves all and no thread is crossed per request.
    database = sqlite3.connect(uri, uri=True)
    database.row_factory = sqlite3.Row
    database.execute("SELECT 1 FROM sqlite_master").fetchone()
    return database


def application(name: str) -> FastAPI:
    return FastAPI(title=f"{name} upstream", docs_url=None, redoc_url=None)


def answer(body: object) -> Response:
    """JSON as it is; these services trust their own database and skip FastAPI's re-validation."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), media_type="application/json")


def unknown(kind: str, identifier: str) -> HTTPException:
    return HTTPException(404, detail=f"no {kind} {identifier!r}")


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def stop_on_eof(server: uvicorn.Server) -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        server.should_exit = True

    threading.Thread(target=watch, name="stop-on-eof", daemon=True).start()


def main(name: str, build: Build, arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=f"examples.orders.upstreams.{name}", description=f"The {name} upstream service."
    )
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--data", type=Path, default=default_directory(), metavar="DIR")
    parser.add_argument("--stop-on-eof", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    path = database_path(options.data, name)
    try:
        database = open_database(path)
    except sqlite3.Error as error:
        hint = f"python -m examples.orders.upstreams.generate --data {options.data}"
        print(f"{name}: cannot read {path}: {error}\n  make it: {hint}", file=sys.stderr)
        return 3
    with closing(database):
        config = uvicorn.Config(
            build(database),
            host="127.0.0.1",
            port=options.port,
            log_level="warning",
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2,
        )
        server = Server(config, name)
        if options.stop_on_eof:
            stop_on_eof(server)
        server.run()
    return 0 if server.started else 3
