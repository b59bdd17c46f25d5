"""Running the command as a user does: a process, in a folder of its own, without a terminal.

The failure prevented: tests that pass because of what the developer's shell had exported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TAILRACE = [sys.executable, "-m", "tailrace.cli"]
PATIENCE_SECONDS = 50

SERVICE = """\
from pydantic import BaseModel

from tailrace import Service, Upstream, View, strong, weak


class Order(BaseModel):
    id: str
    user_id: str


class User(BaseModel):
    name: str


orders = Upstream("orders", "http://127.0.0.1:9001", timeout="80ms", bulkhead=40)
users = Upstream("users", "http://127.0.0.1:9002", timeout="60ms", bulkhead=40)

service = Service("shop", deadline="150ms")


@service.view("/api/orders/{order_id}")
class OrderView(View):
    order: Order = strong(orders.get("/orders/{order_id}"))
    user: User | None = weak(users.get("/users/{order.user_id}"))
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without anything that tailrace or its colours react to."""
    dropped = ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TAILRACE_") and name not in dropped
    }
    return {**kept, **(extra or {})}
