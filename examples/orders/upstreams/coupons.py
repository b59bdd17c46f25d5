"""The coupons service: `/coupons/{user_id}`, 404 for the three in five people who hold none.

That 404 is an everyday answer, not an incident: it is how the example shows a weak part that is
missing (`not_found`) without anything being broken.
"""

import sqlite3
import sys

from fastapi import FastAPI, Response

from .serving import answer, application, main, money, unknown


def body(coupon: sqlite3.Row) -> dict[str, object]:
    return {
        "code": coupon["code"],
        "percent": coupon["percent"],
        "expires_at": coupon["expires_at"],
        "conditions": {
            "minimum_total": money(coupon["minimum_total_cents"]),
            "currency": coupon["currency"],
        },
        "campaign_id": coupon["campaign_id"],
    }


def build(database: sqlite3.Connection) -> FastAPI:
    app = application("coupons")

    @app.get("/coupons/{user_id}")
    async def read_coupon(user_id: str) -> Response:
        query = "SELECT * FROM coupons WHERE user_id = ?"
        coupon = database.execute(query, (user_id,)).fetchone()
        if coupon is None:
            raise unknown("coupon for user", user_id)
        return answer(body(coupon))

    return app


if __name__ == "__main__":
    sys.exit(main("coupons", build))
