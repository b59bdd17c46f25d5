"""One declaration that uses every kind the blueprint has."""

import datetime
import decimal
import uuid
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from tailrace import (
    AdaptiveLimit,
    Breaker,
    Bulkhead,
    Cache,
    Hedge,
    Raw,
    Retry,
    Scope,
    Service,
    Throttle,
    Upstream,
    View,
    body,
    computed,
    form,
    header,
    path,
    query,
    strong,
    weak,
)
from tailrace.policies import Admission, Brownout, Computed, Feasibility, Rate, Shed, Tracing


class Card(BaseModel):
    kind: Literal["card"]
    number: str = Field(min_length=12, max_length=19, pattern=r"^\d+$")


class Cash(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["cash"]
    paid: int = Field(ge=0, gt=-1, le=10, lt=11, multiple_of=1)


class Line(BaseModel):
    sku: str
    price: float = Field(gt=0)


class Everything(BaseModel):
    model_config = ConfigDict(extra="allow")
    id: str
    flag: bool
    nothing: None
    blob: Raw
    text_or_number: int | str
    color: Literal["red", "blue"]
    lines: list[Line] = Field(max_length=64, min_length=0)
    pair: tuple[str, int]
    labels: dict[str, str] = Field(default_factory=dict, min_length=0, max_length=8)
    note: str | None = Field(default="none", alias="Note")
    payment: Annotated[Card | Cash, Field(discriminator="kind")]
    day: datetime.date
    moment: datetime.datetime
    clock: datetime.time
    key: uuid.UUID
    amount: decimal.Decimal


main = Upstream(
    "main",
    ["http://a:9001", "http://b:9001/base"],
    timeout="80ms",
    bulkhead=Bulkhead(limit=4, queue=8),
    retry=Retry(
        attempts=3,
        attempt_timeout="30ms",
        backoff="5ms",
        backoff_max="40ms",
        budget="20%",
        budget_min=2,
    ),
    hedge=Hedge(after="p99.5", extra="2%", delay_min="2ms"),
    breaker=Breaker(
        consecutive=5,
        success_min="60%",
        samples_min=10,
        slow="70ms",
        open="2s",
        open_max="30s",
    ),
    throttle=Throttle(factor=1.5, requests_min=20, reject_max="80%"),
    adaptive=AdaptiveLimit(min=2, init=3),
    rate=Rate(500, burst=100),
    cache=Cache(ttl="2s", stale="30s", stale_if_error="5m", negative="1s", per_identity=True),
    forward_headers=["authorization"],
    body_max="1MiB",
)
spare = Upstream("spare", "http://spare:9001")
service = Service(
    "everything",
    deadline="150ms",
    fanout=8,
    server_timing=True,
    tracing=Tracing(
        endpoint="http://collector:4318",
        share="2%",
        per_second=20,
        timeout="3s",
        headers_variable="COLLECTOR_HEADERS",
        resource={"deployment.environment.name": "test"},
    ),
    extra_attempts=4,
    admission=Admission(
        client="header:x-tenant",
        trusted=["10.0.0.0/8", "fd00::/8"],
        rate=Rate(100, burst=200),
        clients_max=1_000,
        priorities={"batch": "sheddable", "shop": "critical_plus"},
        calls_max=4_096,
        shed=Shed(delay="8ms", cpu="90%"),
        brownout=Brownout(start="70%", full="90%", band="20%", dwell="2s"),
        feasibility=Feasibility(refused_max="10%"),
    ),
)


@service.view(
    "/all/{id}",
    rate=Rate(1_000),
    computed=Computed(time="5ms", limit=32),
    priority="sheddable_plus",
    allow_overcommit="main has one view and no other caller",
)
class AllView(View):
    id: str = path(max_length=64)
    page: int = query(default=1, ge=1)
    tenant: str | None = header("x-tenant")
    first: Everything = strong(main.get("/all/{id}"))
    stock: list[Line | None] = weak(
        main.get("/stock/{item.sku}/{first.id}"), each="first.lines", each_max=8, default=[]
    )
    late: Raw = weak(
        main.get("/late", query={"p": "{page}"}, headers={"x-tenant": "{tenant}"}),
        timeout="40ms",
        drop=1,
        cache=Cache(ttl="1s", per_identity=True),
        otherwise=spare.get("/late", query={"p": "{page}"}, headers={"x-kind": "late"}),
    )

    @computed(default=0)
    def lines(self) -> int:
        return len(self.first.lines)


@service.view("/all", method="POST", collection="listed")
class PostAll(View):
    key: str = header("Idempotency-Key")
    draft: Line = body()
    listed: list[Line] = strong(main.get("/lines"))
    sent: Line | None = strong(
        main.post(
            "/lines",
            json={"sku": "{draft.sku}", "note": "for {draft.sku}"},
            idempotency_key="{key}",
        ),
        when="draft.sku == a",
        merge=True,
        unwrap="data.line",
    )
    more: list[Line] = weak(main.get("/more"), append="listed", default=[])


@service.view("/all", method="PUT")
class PutAll(View):
    note: str = form()
    put: Raw = strong(main.put("/put", form={"note": "{note}"}), when="not note")
    patched: Raw = strong(main.patch("/patch", json="{note}"))
    gone: Raw = strong(main.delete("/gone/{note}"))


@service.get("/summary/{id}", limit=64)
async def summary(id: str, scope: Scope) -> Line:
    (line,) = await scope.all(main.get("/lines/{id}", Line, id=id))
    return line
