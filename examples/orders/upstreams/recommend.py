"""The recommendations service: `/recommend/{user_id}`, best first.

Its `debug` block is the usual leftover that an aggregator without declared models passes on to the
public.
"""

import sqlite3
import sys

from fastapi import FastAPI, Response

from .serving import answer, application, main, money, unknown


def body(items: list[sqlite3.Row], ranking: sqlite3.Row) -> dict[str, object]:
    return {
        "items": [
            {
                "sku": item["sku"],
                "name": item["name"],
                "score": item["score"],
                "price": money(item["price_cents"]),
            }
            for item in items
        ],
        "model": ranking["model"],
        "debug": {"candidates": ranking["candidates"], "latency_us": ranking["latency_us"]},
    }


def build(database: sqlite3.Connection) -> FastAPI:
    app = application("recommend")

    @app.get("/recommend/{user_id}")
    async def read_recommendations(user_id: str) -> Response:
        query = "SELECT * FROM rankings WHERE user_id = ?"
        ranking = database.execute(query, (user_id,)).fetchone()
        if ranking is None:
            raise unknown("user", user_id)
        query = "SELECT * FROM recommendations WHERE user_id = ? ORDER BY position"
        return answer(body(database.execute(query, (user_id,)).fetchall(), ranking))

    return app


if __name__ == "__main__":
    sys.exit(main("recommend", build))
