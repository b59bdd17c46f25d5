"""What the demo runs: the lab's upstreams, the naive aggregation and the governed service.

The failure prevented: a comparison of two things that met different conditions. Both services use
the same upstreams under the same load from the same generator; only how they aggregate differs.
All three start side by side, and each says itself when it is ready.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tailrace import _lab
from tailrace.cli import _lab_board
from tailrace.cli._exit import Exit, Stop
from tailrace.cli.demo.addresses import HOST, Addresses
from tailrace.cli.demo.children import Child, Children

PATIENCE_SECONDS: Final = 30.0
REPLY_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 0.01
SERVICE: Final = "tailrace.cli.demo.service:service"
ROUTE: Final = "/api/orders/{id}"
SIDES: Final = ("naive", "governed")
# How long a client of either service waits before it gives up.
CLIENT_MS: Final = 3_000
CONNECTIONS_MAX: Final = 8_000
BOARD: Final = "board.json"


@dataclass(frozen=True, slots=True)
class Reply:
    """One aggregated reply, as a client saw it."""

    status: int
    parts: int
    size: int
    degraded: str
    milliseconds: float


def start(children: Children, at: Addresses) -> None:
    """Starts everything and returns when all of it is ready."""
    upstreams = at.upstreams()
    lab = children.start(
        "lab",
        _lab.command(
            "upstreams",
            *("--config", str(Path(__file__).with_name("scenario.json"))),
            *("--port-base", str(at.lab_port), "--admin-port", str(at.lab_admin_port)),
        ),
    )
    naive = children.start(
        "naive",
        _lab.command(
            "naive",
            *("--listen", f"{HOST}:{at.naive_port}"),
            *("--upstreams", ",".join(f"{name}={where}" for name, where in upstreams.items())),
        ),
    )
    urls = {
        f"TAILRACE_UPSTREAMS_{name.upper()}_URL": f"http://{where}"
        for name, where in upstreams.items()
    }
    private = {
        "TAILRACE_ADMIN_TOKEN": at.token,
        _lab_board.VARIABLE: str(children.folder / BOARD),
    }
    governed = children.start(
        "governed",
        [
            *(sys.executable, "-m", "tailrace.cli", "serve", SERVICE, "--json"),
            *("--port", str(at.port), "--admin-port", str(at.admin_port)),
            *("--access-log", "off", "--drain", "1s"),
        ],
        {**urls, **private},
    )
    children.ready([lab, naive, governed], PATIENCE_SECONDS)


def load(children: Children, at: Addresses, side: str, rate: float, **options: float) -> Child:
    """Starts open-loop load on one side."""
    base = at.naive if side == "naive" else at.governed
    # Every request that a client still waits for has a connection, or the load would be the limit.
    connections = min(CONNECTIONS_MAX, int(rate * CLIENT_MS / 1000 * 1.25) + 64)
    words = [
        *("--url", base + ROUTE, "--rate", f"{rate:g}", "--timeout-ms", str(CLIENT_MS)),
        *("--connections", str(connections)),
    ]
    for name, value in options.items():
        words += [f"--{name}", f"{value:g}"]
    return children.start(f"load-{side}", _lab.command("load", *words), ends=True)


def first_reply(children: Children, at: Addresses) -> Reply:
    """Asks the governed service until it gives a whole reply."""
    end = time.monotonic() + REPLY_SECONDS
    reply = ask(at)
    while reply.status != 200 or reply.degraded:
        if time.monotonic() > end:
            what = f"status {reply.status}" + (f", without {reply.degraded}" * bool(reply.degraded))
            message = f"error: no whole reply within {REPLY_SECONDS:g} s; the last one: {what}"
            raise Stop(Exit.ENVIRONMENT, message)
        children.lines(RETRY_SECONDS)
        reply = ask(at)
    return reply


def ask(at: Addresses) -> Reply:
    """One request to the governed service."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(HOST, at.port, timeout=REPLY_SECONDS)
    try:
        connection.request("GET", ROUTE.format(id="o-1"))
        response = connection.getresponse()
        body = response.read()
        degraded = response.getheader("Tailrace-Degraded") or ""
        milliseconds = (time.monotonic() - began) * 1000
        fields = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Stop(Exit.ENVIRONMENT, f"error: the service did not answer: {error}") from None
    finally:
        connection.close()
    envelope = {"degraded", "request_id", "served_at_ms"}
    parts = len(set(fields) - envelope)
    return Reply(response.status, parts, len(body), degraded, milliseconds)
