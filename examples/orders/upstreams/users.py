"""The users service: `/users/{user_id}`.

Its answers carry `password_hash` and `marketing_segments`: the two fields one would least like to
see spliced into a public reply, and therefore the ones the tests look for.
"""

import json
import sqlite3
import sys

from fastapi import FastAPI, Response

from .serving import answer, application, main, unknown


def body(user: sqlite3.Row) -> dict[str, object]:
    return {
        "id": user["id"],
        "name": user["name"],
        "email": user["email"],
        "tier": user["tier"],
        "locale": user["locale"],
        "member_since": user["member_since"],
        "address": {
            "street": user["street"],
            "city": user["city"],
            "postal_code": user["postal_code"],
            "country": user["country"],
        },
        "password_hash": user["password_hash"],
        "marketing_segments": json.loads(user["marketing_segments"]),
    }


def build(database: sqlite3.Connection) -> FastAPI:
    app = application("users")

    @app.get("/users/{user_id}")
    async def read_user(user_id: str) -> Response:
        user = database.execute("SELECT * FROM users WHERE id = ?", (user_id,)).fetchone()
        if user is None:
            raise unknown("user", user_id)
        return answer(body(user))

    return app


if __name__ == "__main__":
    sys.exit(main("users", build))
