"""The order view on FastAPI with `tailrace.Client`: the aiohttp peer's route, migrated.

One client per process, a timeout per call, a deadline for the request, the five calls at once,
pydantic models in and out. Strong parts fail the request, weak ones degrade it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from models import Coupon, Inventory, Order, Recommend, User
from pydantic import BaseModel
from tailrace import CallFailed, Client, Upstream

ORDERS, USERS, INVENTORY, COUPONS, RECOMMEND = os.environ["UPSTREAMS"].split(",")
orders = Upstream("orders", ORDERS, timeout="100ms", bulkhead=400)
users = Upstream("users", USERS, timeout="100ms", bulkhead=400)
warehouse = Upstream("inventory", INVENTORY, timeout="100ms", bulkhead=400)
coupons = Upstream("coupons", COUPONS, timeout="100ms", bulkhead=400)
recs = Upstream("recommend", RECOMMEND, timeout="100ms", bulkhead=400)
client = Client(orders, users, warehouse, coupons, recs, deadline="150ms")


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
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the process."""
    async with client:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/api/orders/{order_id}")
async def order_view(
    order_id: str, x_request_id: Annotated[str | None, Header()] = None
) -> OrderView:
    """Five calls at once, one reply."""
    try:
        order, user, inventory, coupon, recommend = await client.all(
            orders.get("/orders/{id}", Order, id=order_id),
            users.get("/users/{id}", User, id=order_id),
            warehouse.get("/inventory/{id}", Inventory, id=order_id),
            client.weak(coupons.get("/coupons/{id}", Coupon, id=order_id)),
            client.weak(recs.get("/recommend/{id}", Recommend, id=order_id)),
        )
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
