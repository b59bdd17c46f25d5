"""The page of the contract: whole, offline, small, and never what a declaration made of it."""

import re
from typing import Any

from pydantic import BaseModel, Field
from tailrace import Service, Upstream, View, strong
from tailrace._lower import build
from tailrace._openapi import document, page

from examples.orders.service import service as orders_service

one = Upstream("one", "http://127.0.0.1:1")


def made(service: Service) -> dict[str, Any]:
    return document(service, build(service))


def test_the_page_is_whole_offline_and_small() -> None:
    text = page(made(orders_service)).decode()
    assert len(text) <= 60_000
    assert re.search(r"https?://(?!localhost)", text) is None
    assert not re.search(r"<(script|link|img|iframe)[^>]*\bsrc=|@import|url\(", text)
    assert "unsafe" not in re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0]
    for name in ("/api/orders/{order_id}", "OrderReply", "Coupon", "bulkhead_full"):
        assert name in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_words_of_a_declaration_never_become_markup() -> None:
    class Evil(BaseModel):
        """<script>alert(1)</script>"""

        a: str = Field(description="<img src=x>", pattern="^<b>$")

    class Shows(View):
        """</title><script>alert(2)</script>"""

        item: Evil = strong(one.get("/i/{id}"))

    service = Service("made", deadline="1s")
    service.view("/x/{id}")(Shows)
    text = page(made(service)).decode()
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "&lt;script&gt;" in text
