"""Where it begins: FastAPI and httpx, one page of an order from three services.

`uvicorn examples.fastapi_migration.before:app`
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException

from .models import Coupon, Order, Page, User

ORDERS = os.environ.get("ORDERS", "http://127.0.0.1:9001")
USERS = os.environ.get("USERS", "http://127.0.0.1:9002")
COUPONS = os.environ.get("COUPONS", "http://127.0.0.1:9003")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the process."""
    async with httpx.AsyncClient(timeout=1.0) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


async def get_order(order_id: str) -> Order:
    """An order, or the reply that there is none."""
    reply = await app.state.client.get(f"{ORDERS}/orders/{order_id}")
    if reply.status_code == 404:
        raise HTTPException(404, "no such order")
    return Order.model_validate_json(reply.raise_for_status().content)


async def get_user(user_id: str) -> User:
    """The user who ordered."""
    reply = await app.state.client.get(f"{USERS}/users/{user_id}")
    return User.model_validate_json(reply.raise_for_status().content)


async def get_coupon(user_id: str) -> Coupon | None:
    """A coupon for the user; the page does without when there is trouble."""
    try:
        reply = await app.state.client.get(f"{COUPONS}/coupons/{user_id}")
        return Coupon.model_validate_json(reply.raise_for_status().content)
    except (httpx.HTTPError, ValueError):
        return None


@app.get("/orders/{order_id}/page")
async def page(order_id: str) -> Page:
    """The page of one order."""
    try:
        order = await get_order(order_id)
        user, coupon = await asyncio.gather(get_user(order.user_id), get_coupon(order.user_id))
    except (httpx.HTTPError, ValueError) as error:
        raise HTTPException(502) from error
    return Page(order=order, user=user, coupon=coupon)
