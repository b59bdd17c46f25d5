"""The examples of the pages about Python run: handlers, and the way from httpx."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any, Final

import pytest
import tailrace
from pydantic import BaseModel
from python_side import Upstream, get, serving

pytestmark = pytest.mark.e2e

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"


class Order(BaseModel):
    id: str
    user_id: str = "u"


class User(BaseModel):
    id: str


def blocks(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_handler_of_the_page_answers(tmp_path: Path) -> None:
    upstream = Upstream()
    models = """
class Order(BaseModel):
    id: str
    user_id: str = "u"


class User(BaseModel):
    id: str


class Coupon(BaseModel):
    id: int


class Summary(BaseModel):
    order: Order
    user: User
    coupon: Coupon | None
    days: int


orders = coupons = users = up

"""
    try:
        with serving(tmp_path, upstream, models + blocks("concepts/handlers.md")[0]) as service:
            reply = get(service.port, "/api/orders/o1/summary?days=3")
            assert reply.json["order"] == {"id": "o1", "user_id": "u"}
            assert (reply.json["user"], reply.json["days"]) == ({"id": "u"}, 3)
            # The upstream's coupon has text where a number is declared.
            assert reply.json["coupon"] is None
            assert reply.headers["tailrace-degraded"] == "up;reason=model_mismatch"
    finally:
        upstream.close()


def test_the_guide_from_httpx_runs(capsys: pytest.CaptureFixture[str]) -> None:
    upstream = Upstream()
    first, lifespan, find_user, *fragments = blocks("guides/migrate-from-httpx.md")
    for fragment in fragments:
        compile(f"async def part():\n{textwrap.indent(fragment, '    ')}", "the guide", "exec")
    scope: dict[str, Any] = {"Order": Order, "User": User, "tailrace": tailrace}
    scope["users"] = tailrace.Upstream("users", upstream.url)
    scope["coupons"] = tailrace.Upstream("coupons", upstream.url)
    try:
        exec(first.replace("http://orders:9001", upstream.url), scope)
        asyncio.run(scope["main"]())
        assert capsys.readouterr().out == "u\n"
        exec(lifespan, scope)
        exec(find_user, scope)

        async def served() -> Any:
            async with scope["lifespan"](None):
                return await scope["find_user"](scope["client"], "7")

        assert asyncio.run(served()) == User(id="7")
    finally:
        upstream.close()
