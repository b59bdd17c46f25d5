"""The inventory service: `/inventory/{order_id}` and `/stock/{sku}`.

The first answers for all lines of one order from the warehouse that ships it; the second for one
sku, from the warehouse that has most of it, and is what the bounded fan-out over a list calls.
"""

import sqlite3
import sys

from fastapi import FastAPI, Response

from .serving import answer, application, main, unknown

LINES = """
    SELECT line.warehouse, line.sku, line.quantity, stock.available, stock.bin, stock.counted_at
    FROM reservations AS line
    JOIN stock ON stock.sku = line.sku AND stock.warehouse = line.warehouse
    WHERE line.order_id = ? ORDER BY line.position
"""
BEST_STOCKED = """
    SELECT sku, available, reserved, warehouse FROM stock
    WHERE sku = ? ORDER BY available DESC, warehouse LIMIT 1
"""


def build(database: sqlite3.Connection) -> FastAPI:
    app = application("inventory")

    @app.get("/inventory/{order_id}")
    async def read_inventory(order_id: str) -> Response:
        lines = database.execute(LINES, (order_id,)).fetchall()
        if not lines:
            raise unknown("order", order_id)
        return answer(
            {
                "order_id": order_id,
                "warehouse": lines[0]["warehouse"],
                "lines": [
                    {
                        "sku": line["sku"],
                        "available": line["available"],
                        "reserved": line["quantity"],
                        "bin": line["bin"],
                    }
                    for line in lines
                ],
                "counted_at": lines[0]["counted_at"],
            }
        )

    @app.get("/stock/{sku}")
    async def read_stock(sku: str) -> Response:
        stock = database.execute(BEST_STOCKED, (sku,)).fetchone()
        if stock is None:
            raise unknown("sku", sku)
        return answer(dict(stock))

    return app


if __name__ == "__main__":
    sys.exit(main("inventory", build))
