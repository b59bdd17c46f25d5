"""Methods, bodies and conditions.

The failure prevented: a body that is not what the other side reads, or that is applied twice.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR070": CodeDoc(
        title="A method that no view answers",
        what="The method of a view is GET, POST, PUT, PATCH or DELETE.",
        why_bad="No request could ever reach the view.",
        fix="Use one of them; HEAD follows GET, OPTIONS is answered by itself.",
        example='@service.view("/api/orders", method="POST")',
    ),
    "TR071": CodeDoc(
        title="A body on a method that has none",
        what="The view reads a body or a form, but its method is GET or DELETE.",
        why_bad="Bodies of such requests mean nothing and are dropped by many on the way.",
        fix="Answer POST, PUT or PATCH, or read the values from the query.",
        example='@service.view("/api/orders", method="POST")',
    ),
    "TR072": CodeDoc(
        title="A value that has no place in JSON",
        what="A call's body holds an object, a number without value, or a key that is no text.",
        why_bad="It would have to be guessed how the upstream should read it.",
        fix="Use dicts, lists, text, finite numbers, booleans and None; values are templates.",
        example='orders.post("/orders", json={"user": "{draft.user_id}", "gift": False})',
    ),
    "TR073": CodeDoc(
        title="Two readers or two writers of one body",
        what="A request's body is read twice, or a call has both JSON and a form.",
        why_bad="A message has one body.",
        fix="Keep one of them.",
        example="draft: Draft = body()",
    ),
    "TR074": CodeDoc(
        title="A condition cannot be read",
        what="`when` is a name, `not` and a name, or a name compared with a constant.",
        why_bad="It would not be known whether the call is made.",
        fix="Name a parameter, or a field of a part or of the body.",
        example='weak(coupons.get("/coupons/{order.coupon}"), when="order.coupon")',
    ),
    "TR075": CodeDoc(
        title="A skipped part has no value",
        what="The part has a condition, and its type allows no null and has no default.",
        why_bad="When the condition does not hold, the reply would have nothing to show.",
        fix="Allow null, or give it a default.",
        example='coupon: Coupon | None = strong(coupons.get("/c"), when="order.coupon")',
    ),
    "TR076": CodeDoc(
        title="An idempotency key that does not tell calls apart",
        what="The key may be absent, or is the same text for every request.",
        why_bad="A call could be applied twice, or the second request never.",
        fix="Make it of what makes the request one.",
        example='orders.post("/orders", json="{draft}", idempotency_key="{key}")',
    ),
    "TR080": CodeDoc(
        title="A part cannot have that name in the reply",
        what="`name` is no text of letters, digits, `-` and `_`.",
        why_bad="It stands in headers and metrics as well, where other characters mean something.",
        fix="Choose another name.",
        example='info: Order = strong(orders.get("/orders/1"), name="order-info")',
    ),
    "TR081": CodeDoc(
        title="The reply would have one name twice",
        what="A merged field or a name is also another part's or the envelope's.",
        why_bad="Which of the two a client reads would be chance.",
        fix="Rename one of them, or leave the part under its own name.",
        example='order: Order = strong(orders.get("/orders/1"), merge=True)',
    ),
    "TR082": CodeDoc(
        title="A list that continues no list",
        what="`append` names no other part, or one of the two is no list.",
        why_bad="There is nothing to put the items behind.",
        fix="Name a part that is a list and is not appended itself.",
        example='more: list[Item] = weak(shop.get("/more"), append="items", default=[])',
    ),
    "TR083": CodeDoc(
        title="A collection of nothing",
        what="`collection` names no part that is a list.",
        why_bad="The reply would have no body.",
        fix="Name a part that is a list.",
        example='@service.view("/orders", collection="orders")',
    ),
    "TR084": CodeDoc(
        title="Nothing to unwrap",
        what="`unwrap` is no sequence of keys.",
        why_bad="The value could not be found in the answer.",
        fix="Name the keys with dots.",
        example='order: Order = strong(orders.get("/orders/1"), unwrap="data.order")',
    ),
}
