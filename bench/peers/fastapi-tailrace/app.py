"""The order view on FastAPI with `tailrace.Client`: the aiohttp peer's route, migrated.

One client per process, a timeout per call, a deadline for the request, the five calls at once,
pydantic models in and out. Strong parts fail the request, weak ones degrade it.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

from fastapi import FastAPI, Header, HTTPException
from models import Coupon, Inventory, Order, Recommend, User
from pydantic import BaseModel
from tailrace import CallFailed, Client, Upstream

ORDERS, USERS, INVENTORY, COUPONS, RECOMMEND = os.environ["UPSTREAMS"].split(",")
DEADLINE_S = 0.15

Model = TypeVar("Model", bound=BaseModel)

orders = Upstream("orders", ORDERS, timeout="100ms", bulkhead=400)
users = Upstream("users", USERS, timeout="100ms", bulkhead=400)
warehouse = Upstream("inventory", INVENTORY, timeout="100ms", bulkhead=400)
coupons = Upstream("coupons", COUPONS, timeout="100ms", bulkhead=400)
recs = Upstream("recommend", RECOMMEND, timeout="100ms", bulkhead=400)


class OrderView(BaseModel):
    order: Order
    user: User
    inventory: Inventory
    coupon: Coupon | None
    recommend: Recommend
    degraded: list[str]
    request_id: str
    served_at_ms: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the process."""
    async with Client(orders, users, warehouse, coupons, recs) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


async def call(upstream: Upstream, path: str, model: type[Model], order_id: str) -> Model:
    """One strong call."""
    client: Client = app.state.client
    return await client.get(upstream, path, model, id=order_id)


async def weak(upstream: Upstream, path: str, model: type[Model], order_id: str) -> Model | None:
    """One weak call: its failure is an absent part."""
    try:
        return await call(upstream, path, model, order_id)
    except CallFailed:
        return None


@app.get("/api/orders/{order_id}")
async def order_view(
    order_id: str, x_request_id: Annotated[str | None, Header()] = None
) -> OrderView:
    """Five calls at once, one reply."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            order, user, inventory, coupon, recommend = await asyncio.gather(
                call(orders, "/orders/{id}", Order, order_id),
                call(users, "/users/{id}", User, order_id),
                call(warehouse, "/inventory/{id}", Inventory, order_id),
                weak(coupons, "/coupons/{id}", Coupon, order_id),
                weak(recs, "/recommend/{id}", Recommend, order_id),
            )
    except TimeoutError as error:
        raise HTTPException(504) from error
    except CallFailed as error:
        raise HTTPException(error.status) from error
    weak_parts = {"coupon": coupon, "recommend": recommend}
    return OrderView(
        order=order,
        user=user,
        inventory=inventory,
        coupon=coupon,
        recommend=recommend or Recommend(items=[]),
        degraded=[name for name, part in weak_parts.items() if part is None],
        request_id=x_request_id or uuid.uuid4().hex,
        served_at_ms=time.time_ns() // 1_000_000,
    )
