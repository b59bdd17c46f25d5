"""Step 3: the middleware gives the route what a view has.

Gained: the caller's deadline and request id reach every call, the reply says in a header what is
missing, a failed call is a problem in JSON, and `/metrics` has the route beside its calls. The
`try` is gone.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from tailrace import Client, Upstream
from tailrace.asgi import Middleware

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
app.add_middleware(Middleware, client=client, deadline="2s", metrics="/metrics")


@app.get("/orders/{order_id}/page")
async def page(order_id: str) -> Page:
    """The page of one order."""
    order = await client.get(orders, "/orders/{id}", Order, id=order_id)
    user, coupon = await client.all(
        users.get("/users/{id}", User, id=order.user_id),
        client.weak(coupons.get("/coupons/{id}", Coupon, id=order.user_id), name="coupon"),
    )
    return Page(order=order, user=user, coupon=coupon)
