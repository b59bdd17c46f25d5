"""A service that fills dashboards: one of everything they show, and callers for it.

Prevents panels that nobody has seen with data in them: there are whole and degraded replies, a kept
answer, a computed field, handlers that end and that fail, an upstream that never answers, and
traces that find no collector.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import live
import rows
import shop

sys.path.insert(0, str(rows.ROOT))

from examples.orders.processes import Service

# Port 9 (discard) of loopback: nobody listens there.
NOBODY: Final = "http://127.0.0.1:9"
_PROGRAM: Final = """
from pydantic import BaseModel
from tailrace import Cache, Retry, Service, Upstream, View, computed, strong, weak

up = Upstream("up", {url!r}, timeout="10s", bulkhead=64)
kept = Upstream("kept", {url!r}, timeout="1s", cache=Cache(ttl="1s"))
gone = Upstream("gone", {nobody!r}, timeout="1s", breaker=None, throttle=None)
service = Service("watched", deadline="15s")


class Thing(BaseModel):
    id: str


@service.view("/whole/{{id}}")
class Whole(View):
    it: Thing = strong(up.get("/{{id}}"))
    same: Thing = strong(kept.get("/same"))

    @computed
    def name(self) -> str:
        return self.it.id + self.same.id


@service.view("/partial/{{id}}")
class Partial(View):
    it: Thing = strong(up.get("/{{id}}"))
    extra: Thing | None = weak(gone.get("/{{id}}"), default=None)


@service.view("/failing/{{id}}")
class Failing(View):
    it: Thing = strong(gone.get("/{{id}}"))


@service.get("/handled/{{id}}")
async def handled(id: str) -> Thing:
    return await up.get("/{{id}}", Thing, id=id)


@service.get("/broken")
async def broken() -> Thing:
    raise LookupError("as it is meant to")
"""
VIEWS: Final = {"whole", "partial", "failing", "handled", "broken"}
UPSTREAMS: Final = {"up", "kept", "gone"}
_ROUND: Final = (*("/whole/1",) * 40, *("/partial/1", "/failing/1", "/handled/1", "/broken") * 4)


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """Starts upstream and service, with tracing to nobody; both end with the block."""
    environment = {
        "TAILRACE_LISTEN_WORKERS": "2",
        "TAILRACE_ACCESS_LOG_PATH": str(folder / "access.log"),
        "TAILRACE_TRACING_ENABLED": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY,
    }
    upstream = live.Upstream()
    program = folder / "service.py"
    program.write_text(_PROGRAM.format(url=upstream.url, nobody=NOBODY), encoding="utf-8")
    try:
        with Service(str(program), log=folder / "service.log", environment=environment) as running:
            yield running
    finally:
        upstream.close()


def visit(service: Service) -> None:
    """One round of callers: some of everything, and one who asks for what is not there."""
    shop.ask(service, *_ROUND, "/nowhere")
