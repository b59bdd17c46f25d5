"""The order view on FastAPI with aiohttp as client, tuned as its users tune it.

One session with a keep-alive pool per process, a timeout per call, a deadline for the request, the
five calls at once, pydantic models in and out. Strong parts fail the request, weak ones degrade it.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import aiohttp
from fastapi import FastAPI, Header, HTTPException
from models import Coupon, Inventory, Order, Recommend, User
from pydantic import BaseModel, ValidationError

ORDERS, USERS, INVENTORY, COUPONS, RECOMMEND = os.environ["UPSTREAMS"].split(",")
CALL_TIMEOUT = aiohttp.ClientTimeout(total=0.1)
DEADLINE_S = 0.15
FAILURES = (aiohttp.ClientError, TimeoutError, ValidationError)

Model = TypeVar("Model", bound=BaseModel)


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
    """One session for the life of the process."""
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=400, keepalive_timeout=60)
    async with aiohttp.ClientSession(
        connector=connector, timeout=CALL_TIMEOUT, auto_decompress=False, raise_for_status=True
    ) as session:
        app.state.session = session
        yield


app = FastAPI(lifespan=lifespan)


async def call(url: str, model: type[Model]) -> Model:
    """One strong call."""
    async with app.state.session.get(url) as reply:
        return model.model_validate_json(await reply.read())


async def weak(url: str, model: type[Model]) -> Model | None:
    """One weak call: its failure is an absent part."""
    try:
        return await call(url, model)
    except FAILURES:
        return None


@app.get("/api/orders/{order_id}")
async def order_view(
    order_id: str, x_request_id: Annotated[str | None, Header()] = None
) -> OrderView:
    """Five calls at once, one reply."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            order, user, inventory, coupon, recommend = await asyncio.gather(
                call(f"{ORDERS}/orders/{order_id}", Order),
                call(f"{USERS}/users/{order_id}", User),
                call(f"{INVENTORY}/inventory/{order_id}", Inventory),
                weak(f"{COUPONS}/coupons/{order_id}", Coupon),
                weak(f"{RECOMMEND}/recommend/{order_id}", Recommend),
            )
    except TimeoutError as error:
        raise HTTPException(504) from error
    except FAILURES as error:
        raise HTTPException(502) from error
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
