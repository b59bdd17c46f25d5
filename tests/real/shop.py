"""The service that the tests beside other people's programs watch.

Prevents two copies of one service that drift apart: Prometheus and the collector look at the same
views, one whole, one that always misses a part, and a handler with a call of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import live
import rows

sys.path.insert(0, str(rows.ROOT))

from examples.orders.processes import Service

# Port 9 (discard) of loopback: nobody listens there.
_PROGRAM: Final = """
from pydantic import BaseModel
from tailrace import Service, Upstream, View, strong, weak

up = Upstream("up", {url!r}, timeout="10s", bulkhead=64)
gone = Upstream("gone", "http://127.0.0.1:9", timeout="1s", retry=None)
service = Service("shop", deadline="15s")


class Thing(BaseModel):
    id: str


@service.view("/whole/{{id}}")
class Whole(View):
    it: Thing = strong(up.get("/{{id}}"))


@service.view("/partial/{{id}}")
class Partial(View):
    it: Thing = strong(up.get("/{{id}}"))
    extra: Thing | None = weak(gone.get("/{{id}}"), default=None)


@service.get("/handled/{{id}}")
async def handled(id: str) -> Thing:
    return await up.get("/{{id}}", Thing, id=id)
"""


@contextmanager
def serving(folder: Path, environment: Mapping[str, str]) -> Iterator[Service]:
    """Starts upstream and service; both end with the block."""
    upstream = live.Upstream()
    program = folder / "service.py"
    program.write_text(_PROGRAM.format(url=upstream.url), encoding="utf-8")
    try:
        with Service(str(program), log=folder / "service.log", environment=environment) as running:
            yield running
    finally:
        upstream.close()


def ask(service: Service, *paths: str, **headers: str) -> list[int]:
    """Asks for one path after the other, on one connection; the statuses."""
    connection = service.connect()
    statuses = []
    for path in paths:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        reply.read()
        statuses.append(reply.status)
    connection.close()
    return statuses
