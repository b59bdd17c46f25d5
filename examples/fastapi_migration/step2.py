"""Step 2: calls that belong together are made together, and what may be absent says so.

Gained: one crossing and one wake-up instead of a task per call, and a sibling that ends when its
answer cannot be used any more. `get_coupon` is gone.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from tailrace import CallFailed, Client, Upstream

from .models import Coupon, Order, Page, User

orders = Upstream("orders", os.environ.get("ORDERS", "http://127.0.0.1:9001"), timeout="1s")
users = Upstream("users", os.environ.get("USERS", "http://127.0.0.1:9002"), timeout="1s")
coupons = Upstream("coupons", os.environ.get("COUPONS", "http://127.0.0.1:9003"), timeout="1s")
client = Client(orders, users, coupons)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the process."""
    async with client:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/orders/{order_id}/page")
async def page(order_id: str) -> Page:
    """The page of one order."""
    try:
        order = await client.get(orders, "/orders/{id}", Order, id=order_id)
        user, coupon = await client.all(
            users.get("/users/{id}", User, id=order.user_id),
            client.weak(coupons.get("/coupons/{id}", Coupon, id=order.user_id), name="coupon"),
        )
    except CallFailed as failed:
        raise HTTPException(failed.status) from failed
    return Page(order=order, user=user, coupon=coupon)
