"""What a reply must say, read from the SQLite files with SQL of its own.

Prevents a check that agrees with itself: neither the upstreams' code nor the models take part, so a
field that is lost, leaked, mixed up between orders or re-rendered shows as a difference.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

# Names upstreams answer with and the service never declared.
UNDECLARED: Final = frozenset(
    {
        *("risk_score", "internal_notes", "warehouse_route", "weight_grams"),
        *("password_hash", "marketing_segments", "bin", "counted_at"),
        *("campaign_id", "model", "debug"),
    }
)

MONEY: Final = "printf('%d.%02d', {0} / 100, {0} % 100)"
ORDER: Final = f"""
    SELECT json_object(
        'id', id, 'user_id', user_id, 'status', status, 'currency', currency,
        'total', {MONEY.format("total_cents")}, 'created_at', created_at,
        'items', (
            SELECT json_group_array(json_object(
                'sku', sku, 'name', name, 'quantity', quantity,
                'price', {MONEY.format("price_cents")}))
            FROM (SELECT * FROM items WHERE order_id = orders.id ORDER BY position)),
        'shipping', json_object(
            'name', shipping_name, 'street', street, 'city', city,
            'postal_code', postal_code, 'country', country))
    FROM orders WHERE id = ?
"""
USER: Final = """
    SELECT json_object(
        'id', id, 'name', name, 'email', email, 'tier', tier, 'locale', locale,
        'member_since', member_since,
        'address', json_object(
            'street', street, 'city', city, 'postal_code', postal_code, 'country', country))
    FROM users WHERE id = ?
"""
INVENTORY: Final = """
    SELECT json_object(
        'order_id', order_id, 'warehouse', min(warehouse),
        'lines', json_group_array(json_object(
            'sku', sku, 'available', available, 'reserved', quantity)))
    FROM (SELECT * FROM reservations JOIN stock USING (sku, warehouse)
          WHERE order_id = ? ORDER BY position)
    GROUP BY order_id
"""
STOCK: Final = """
    SELECT json_object(
        'sku', sku, 'available', available, 'reserved', reserved, 'warehouse', warehouse)
    FROM stock WHERE sku = ? ORDER BY available DESC, warehouse LIMIT 1
"""
COUPON: Final = f"""
    SELECT json_object(
        'code', code, 'percent', percent, 'expires_at', expires_at,
        'conditions', json_object(
            'minimum_total', {MONEY.format("minimum_total_cents")}, 'currency', currency))
    FROM coupons WHERE user_id = ?
"""
RECOMMEND: Final = f"""
    SELECT json_object('items', json_group_array(json_object(
        'sku', sku, 'name', name, 'score', score, 'price', {MONEY.format("price_cents")})))
    FROM (SELECT * FROM recommendations WHERE user_id = ? ORDER BY position)
"""


class Truth:
    """Reads one shop; not for use from several threads at once."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def one(self, service: str, query: str, key: str) -> Any:
        uri = f"{(self.data / f'{service}.db').resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            row = database.execute(query, (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def order_ids(self, count: int) -> list[str]:
        """`count` ids spread evenly over the whole shop, first and last included."""
        uri = f"{(self.data / 'orders.db').resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            ids = [row[0] for row in database.execute("SELECT id FROM orders ORDER BY id")]
        step = (len(ids) - 1) / max(1, count - 1)
        return [ids[round(position * step)] for position in range(count)]

    def example(self, *, coupon: bool) -> tuple[str, Json]:
        """An order whose buyer does, or does not, hold a coupon, and the parts of its view."""
        for order_id in self.order_ids(50):
            parts = self.order_view(order_id)
            if (parts["coupon"] is not None) == coupon:
                return order_id, parts
        raise LookupError(f"fifty orders, and for none is coupon={coupon}")

    def order_view(self, order_id: str) -> Json:
        """The parts of `/api/orders/{order_id}` when every upstream is well."""
        order = self.one("orders", ORDER, order_id)
        buyer = order["user_id"]
        return {
            "order": order,
            "user": self.one("users", USER, buyer),
            "inventory": self.one("inventory", INVENTORY, order_id),
            "coupon": self.one("coupons", COUPON, buyer),
            "recommend": self.one("recommend", RECOMMEND, buyer),
        }

    def stock_view(self, order_id: str) -> Json:
        """The parts of `/api/orders/{order_id}/stock`."""
        order = self.one("orders", ORDER, order_id)
        stock = [self.one("inventory", STOCK, item["sku"]) for item in order["items"]]
        return {"order": order, "stock": stock}


def keys(value: object) -> set[str]:
    """Every object key in a JSON value, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*(keys(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(keys(inner) for inner in value))
    return set()


def differences(reply: Json, parts: Json, *, degraded: dict[str, Any] | None = None) -> list[str]:
    """What is wrong with a 200 reply, in words; empty when nothing is.

    `degraded` names the weak parts that must be missing and what stands in their place. A coupon
    the person never had is missing too: the coupons service answers 404 (DESIGN 4, `not_found`).
    """
    substitutes = dict(degraded or {})
    if "coupon" in parts and parts["coupon"] is None:
        substitutes.setdefault("coupon", None)
    wrong = []
    expected = [*parts, "degraded", "request_id", "served_at_ms"]
    if list(reply) != expected:
        wrong.append(f"fields are {list(reply)}, not {expected}")
    for name, value in parts.items():
        wanted = substitutes.get(name, value)
        if reply.get(name) != wanted:
            wrong.append(f"{name} is {reply.get(name)!r}, not {wanted!r}")
    missing = [name for name in parts if name in substitutes]
    if sorted(reply.get("degraded", ())) != sorted(missing):
        wrong.append(f"degraded is {reply.get('degraded')!r}, not {missing!r}")
    leaked = UNDECLARED & keys(reply)
    if leaked:
        wrong.append(f"undeclared fields leaked: {sorted(leaked)}")
    return wrong
