"""Are all peers doing the same work? Compare their replies as JSON with one reference.

A peer that skips a field, a part or a header would look cheap. The reference is computed here from
the scenario the upstreams serve: the declared fields of each part, and nothing else. A `projected`
peer must equal it. A `spliced` peer passes upstream bytes through, so it must contain it: every
declared value present and equal, more allowed. A `computed` peer is a projected one with the field
of `made`.
"""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from harness.machine import ROOT, BenchError

SCENARIO = ROOT / "crates" / "tailrace-lab" / "src" / "orders.json"

# Part of the reply -> upstream of the scenario.
PARTS = {
    "order": "orders",
    "user": "users",
    "inventory": "inventory",
    "coupon": "coupons",
    "recommend": "recommend",
}
# What the models of the view do not declare; `[]` walks into each item of a list.
UNDECLARED = {
    "order": ("risk_score", "internal_notes", "warehouse_route", "items[].weight_grams"),
    "user": ("password_hash", "marketing_segments"),
    "inventory": ("lines[].bin", "counted_at"),
    "coupon": ("campaign_id",),
    "recommend": ("model", "debug"),
}


def drop(body: dict[str, Any], path: str) -> None:
    """Remove one undeclared field; a path that is not there means the scenario has changed."""
    field, _, rest = path.partition("[].")
    if rest:
        for item in body[field]:
            drop(item, rest)
    else:
        del body[field]


def reference(order_id: str) -> dict[str, Any]:
    """The parts that a projected reply for this order must show."""
    scenario = json.loads(SCENARIO.read_text())
    bodies = {upstream["name"]: upstream["body"] for upstream in scenario["upstreams"]}
    parts = {}
    for part, upstream in PARTS.items():
        text = json.dumps(bodies[upstream]).replace("{id}", order_id)
        body = json.loads(text)
        for path in UNDECLARED[part]:
            drop(body, path)
        parts[part] = body
    return parts


def made(parts: dict[str, Any]) -> dict[str, Any]:
    """What the peer with a computed field makes of the parts."""
    available = {line["sku"]: line["available"] for line in parts["inventory"]["lines"]}
    wanted = parts["order"]["items"]
    enough = all(available.get(item["sku"], 0) >= item["quantity"] for item in wanted)
    return {"in_stock": enough}


def contains(actual: Any, wanted: Any, where: str = "") -> list[str]:
    """The places where `actual` lacks something of `wanted`."""
    if isinstance(wanted, dict) and isinstance(actual, dict):
        missing = [f"{where}.{key} is missing" for key in wanted if key not in actual]
        for key in wanted.keys() & actual.keys():
            missing += contains(actual[key], wanted[key], f"{where}.{key}")
        return missing
    if isinstance(wanted, list) and isinstance(actual, list) and len(wanted) == len(actual):
        missing = []
        for index, (one, two) in enumerate(zip(actual, wanted, strict=True)):
            missing += contains(one, two, f"{where}[{index}]")
        return missing
    same = actual == wanted and isinstance(actual, bool) == isinstance(wanted, bool)
    return [] if same else [f"{where} is {actual!r}, not {wanted!r}"]


def fetch(
    port: int, order_id: str, request_id: str | None, view: str = "orders"
) -> tuple[dict[str, Any], str]:
    """One reply as JSON, with its content type."""
    headers = {"X-Request-Id": request_id} if request_id else {}
    url = f"http://127.0.0.1:{port}/api/{view}/{order_id}"
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as reply:
        return json.loads(reply.read()), reply.headers.get("Content-Type", "")


def compare(body: dict[str, Any], order_id: str, kind: str) -> list[str]:
    """What is wrong with the parts and envelope of one reply."""
    envelope = {"degraded", "request_id", "served_at_ms"}
    known = reference(order_id)
    wanted = known | made(known) if kind == "computed" else known
    wrong = [f"unexpected key {key}" for key in body.keys() - wanted.keys() - envelope]
    wrong += contains(body, wanted)
    if kind in ("projected", "computed"):
        wrong += contains(known, {part: body.get(part) for part in PARTS}, "extra")
    if body.get("degraded") != []:
        wrong.append(f"degraded is {body.get('degraded')!r}")
    served = body.get("served_at_ms")
    if not isinstance(served, int) or abs(served - time.time() * 1000) > 5000:
        wrong.append(f"served_at_ms is {served!r}")
    return wrong


def check_buyers(port: int, name: str) -> None:
    """Fail unless the second view of `tail.py` has its three parts, whole and projected."""
    body, _ = fetch(port, "42", None, "buyers")
    wanted = {part: reference("42")[part] for part in ("order", "user", "coupon")}
    wrong = contains(body, wanted)
    wrong += contains(wanted, {part: body.get(part) for part in wanted}, "extra")
    if wrong or body.get("degraded") != []:
        raise BenchError(f"the buyers' view of {name} differs: {wrong[:8]}, {body}")


def check(port: int, kind: str, name: str) -> None:
    """Fail unless the peer's replies are those of the reference."""
    wrong: list[str] = []
    seen = set()
    for order_id, request_id in (("42", "bench-42"), ("7", None), ("7", None)):
        body, content_type = fetch(port, order_id, request_id)
        wrong += compare(body, order_id, kind)
        if not content_type.startswith("application/json"):
            wrong.append(f"content type is {content_type!r}")
        if request_id and body.get("request_id") != request_id:
            wrong.append(f"request_id is {body.get('request_id')!r}, not {request_id!r}")
        if not isinstance(body.get("request_id"), str) or body["request_id"] in seen:
            wrong.append(f"request_id {body.get('request_id')!r} is not a new text")
        seen.add(body.get("request_id"))
    if wrong:
        raise BenchError(
            f"the replies of {name} differ from the reference:\n  " + "\n  ".join(wrong[:8])
        )
