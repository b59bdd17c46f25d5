"""The orders service: `/orders/{order_id}`.

Answers more than the order service declares (`risk_score`, `internal_notes`, `warehouse_route`, an
item's `weight_grams`), as real services do; those fields must not reach a reply.
"""

import json
import sqlite3
import sys

from fastapi import FastAPI, Response

from .serving import answer, application, main, money, unknown


def body(order: sqlite3.Row, items: list[sqlite3.Row]) -> dict[str, object]:
    return {
        "id": order["id"],
        "user_id": order["user_id"],
        "status": order["status"],
        "currency": order["currency"],
        "total": money(order["total_cents"]),
        "created_at": order["created_at"],
        "items": [
            {
                "sku": item["sku"],
                "name": item["name"],
                "quantity": item["quantity"],
                "price": money(item["price_cents"]),
                "weight_grams": item["weight_grams"],
            }
            for item in items
        ],
        "shipping": {
            "name": order["shipping_name"],
            "street": order["street"],
            "city": order["city"],
            "postal_code": order["postal_code"],
            "country": order["country"],
        },
        "risk_score": order["risk_score"],
        "internal_notes": json.loads(order["internal_notes"]),
        "warehouse_route": {
            "zone": order["route_zone"],
            "aisle": order["route_aisle"],
            "trace": order["route_trace"],
        },
    }


def build(database: sqlite3.Connection) -> FastAPI:
    app = application("orders")

    @app.get("/orders/{order_id}")
    async def read_order(order_id: str) -> Response:
        order = database.execute("SELECT * FROM orders WHERE id = ?", (order_id,)).fetchone()
        if order is None:
            raise unknown("order", order_id)
        query = "SELECT * FROM items WHERE order_id = ? ORDER BY position"
        return answer(body(order, database.execute(query, (order_id,)).fetchall()))

    return app


if __name__ == "__main__":
    sys.exit(main("orders", build))
