"""Step 1: upstreams are declared, one client is opened, calls are replaced one by one.

Gained: a limit of calls in flight per upstream, a timeout that holds, retries within a budget,
answers checked against their models before Python sees them, metrics of all calls.
"""

import asyncio
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


async def get_order(order_id: str) -> Order:
    """An order, or the reply that there is none."""
    try:
        return await client.get(orders, "/orders/{id}", Order, id=order_id)
    except CallFailed as failed:
        if failed.answered == 404:
            raise HTTPException(404, "no such order") from failed
        raise


async def get_coupon(user_id: str) -> Coupon | None:
    """A coupon for the user; the page does without when there is trouble."""
    try:
        return await client.get(coupons, "/coupons/{id}", Coupon, id=user_id)
    except CallFailed:
        return None


@app.get("/orders/{order_id}/page")
async def page(order_id: str) -> Page:
    """The page of one order."""
    try:
        order = await get_order(order_id)
        user, coupon = await asyncio.gather(
            client.get(users, "/users/{id}", User, id=order.user_id), get_coupon(order.user_id)
        )
    except CallFailed as failed:
        raise HTTPException(failed.status) from failed
    return Page(order=order, user=user, coupon=coupon)
