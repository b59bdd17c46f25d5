"""The order service of the examples is the one the requirements describe."""

from __future__ import annotations

import math
import re

from examples.orders import service as orders_module
from examples.orders.service import service

BLUEPRINT = service.blueprint()
VIEW = next(view for view in BLUEPRINT["views"] if view["path"] == "/api/orders/{order_id}")


def test_five_parts_three_strong_two_weak_within_150_ms() -> None:
    """req 10.1"""
    strengths = {part["name"]: part["strength"] for part in VIEW["parts"]}
    assert strengths == {
        "order": "strong",
        "user": "strong",
        "inventory": "strong",
        "coupon": "weak",
        "recommend": "weak",
    }
    assert VIEW["deadline_ms"] == 150


def test_every_upstream_has_limits_of_its_own_from_measured_capacity() -> None:
    """req 10.5: calls in flight = rate x mean time; the module says which figures were used."""
    text = " ".join((orders_module.__doc__ or "").split())
    slower = re.search(r"\(1 000/s x (\d+) ms\)", text)
    assert slower, "the sizing is written down"
    calls = math.ceil(1_000 * int(slower[1]) / 1_000)
    limits = {row["name"]: row["bulkhead"]["limit"] for row in BLUEPRINT["upstreams"]}
    per_request = {"inventory": 2}
    assert limits == {name: calls * per_request.get(name, 1) for name in limits}
    assert all(row["timeout_ms"] < VIEW["deadline_ms"] for row in BLUEPRINT["upstreams"])
