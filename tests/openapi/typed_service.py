"""A service with a parameter of every type, for fuzzing: what the contract says must be what the
plane accepts, and everything else must be refused."""

import datetime
import uuid
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field
from tailrace import Service, Upstream, View, body, header, path, query, strong, weak


class Echo(BaseModel):
    id: int
    at: datetime.datetime
    price: Decimal | None = None


upstream = Upstream("echo", "http://echo.invalid", timeout="5s", forward_headers=["x-tenant"])


class Draft(BaseModel):
    user: str = Field(alias="userId", min_length=1, max_length=9)
    count: int = Field(ge=1, le=99)
    sizes: list[float] = Field(default_factory=list, max_length=3)
    kind: Literal["gift", "plain"] = "plain"
    price: Decimal | None = None


service = Service("typed", deadline="10s")
ECHOED = {"id": 7, "at": "2026-11-24T10:00:00Z", "price": "1.50", "secret": "x"}
ROUTES = {"/echo/{id}": ECHOED, "/days/{day}/{key}": [ECHOED], "/maybe": ECHOED, "/drafts": ECHOED}


@service.view("/echo/{id}")
class EchoView(View):
    """Numbers and choices."""

    id: int = path(ge=1, le=1_000)
    page: int = query(default=1, ge=1)
    ratio: float | None = query(default=None, gt=0, lt=1)
    sort: Literal["up", "down"] = query(default="up")
    on: bool = query(default=False)
    depth: int | None = header("x-depth", default=None, ge=0, le=9)
    echo: Echo = strong(
        upstream.get(
            "/echo/{id}", query={"page": "{page}", "sort": "{sort}"}, headers={"x-d": "{depth}"}
        )
    )
    maybe: Echo | None = weak(upstream.get("/maybe", query={"ratio": "{ratio}", "on": "{on}"}))


@service.view("/days/{day}/{key}")
class DayView(View):
    """Text with a form."""

    day: datetime.date = path()
    key: uuid.UUID = path()
    text: str = query(alias="q", min_length=1, max_length=20, pattern="^[a-z]+$")
    free: str | None = query(default=None, max_length=50)
    tag: str = header("x-tag", default="none", pattern="^[a-z]{1,8}$")
    echoes: list[Echo] = strong(
        upstream.get(
            "/days/{day}/{key}", query={"q": "{text}", "f": "{free}"}, headers={"t": "{tag}"}
        )
    )


@service.view("/drafts", method="POST")
class DraftView(View):
    """A body."""

    draft: Draft = body()
    echo: Echo = strong(
        upstream.post("/drafts", json={"user": "{draft.user}", "sizes": "{draft.sizes}"})
    )
