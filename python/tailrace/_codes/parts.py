"""Parts of views.

The failure prevented: a dependency whose failure nobody decided about.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR100": CodeDoc(
        title="A part is not made of a call",
        what="`strong` or `weak` got something else than a call of an upstream.",
        why_bad="Nothing says where the value comes from.",
        fix="Call an upstream.",
        example='order: Order = strong(orders.get("/orders/{order_id}"))',
    ),
    "TR104": CodeDoc(
        title="A weak part needs a fallback",
        what="The part may fail, its type does not allow null, and no default is given.",
        why_bad="When it fails, the reply has no value to use.",
        fix="Allow null, or give a default.",
        example=(
            "coupon: Coupon | None = weak(...)\n"
            "recommend: Recommend = weak(..., default=Recommend(items=[]))"
        ),
    ),
    "TR105": CodeDoc(
        title="A default does not fit the part's type",
        what="The default would be refused if the upstream sent it.",
        why_bad="A degraded reply would break the promise of its type.",
        fix="Change the default or the type.",
        example="recommend: Recommend = weak(..., default=Recommend(items=[]))",
    ),
    "TR106": CodeDoc(
        title="A part may take longer than its view",
        what="The part's timeout is above the view's deadline.",
        why_bad="The deadline cuts it off first, so the timeout says something untrue.",
        fix="Lower the timeout or raise the deadline.",
        example='weak(recs.get("/recommend/{user_id}"), timeout="40ms")',
    ),
    "TR107": CodeDoc(
        title="`each` does not name a list",
        what="The name is no part, or what it names is no list.",
        why_bad="There is nothing to make one call per item of.",
        fix="Name a list of another part.",
        example='each="order.items"',
    ),
    "TR108": CodeDoc(
        title="A part with `each` is not a list",
        what="One call per item gives a list, but the declared type is none.",
        why_bad="The reply would not have the declared type.",
        fix="Declare a list.",
        example='stock: list[Stock] = strong(..., each="order.items")',
    ),
    "TR109": CodeDoc(
        title="Items of a weak list must allow null",
        what=(
            "A failed item becomes null and keeps its position, which the item type does not allow."
        ),
        why_bad="The reply would break its type whenever one item fails.",
        fix="Allow null in the item's type.",
        example='stock: list[Stock | None] = weak(..., each="order.items", default=[])',
    ),
    "TR110": CodeDoc(
        title="A part is declared as `Any`",
        what="The type says nothing about the value.",
        why_bad=(
            "Nothing is validated, and undeclared fields of the upstream leak to clients (req 6.2)."
        ),
        fix="Declare a model; where any JSON is right, say so with `Raw`.",
        example=("from tailrace import Raw\nblob: Raw = strong(...)"),
    ),
    "TR111": CodeDoc(
        title="`each_max` cannot be used",
        what="The cap is out of range, or there is no `each` to cap.",
        why_bad="The cap is part of the worst case of the view.",
        fix="Use a whole number from 1 to 65535, with `each`.",
        example='each="order.items", each_max=64',
    ),
    "TR113": CodeDoc(
        title="A strong part reads a weak one",
        what="The call of a strong part needs a value of a weak part that has no default.",
        why_bad=(
            "When the weak part fails, the strong one fails with it, and the request too: "
            "it is not weak."
        ),
        fix="Make one strong, the other weak, or give a default.",
        example='user: User | None = weak(users.get("/users/{coupon.owner}"))',
    ),
    "TR114": CodeDoc(
        title="The strong parts of a view do not fit its deadline",
        what=(
            "The timeouts of strong parts that wait for one another add up to more than the "
            "deadline; a list longer than the fan-out counts once per round."
        ),
        why_bad=(
            "The deadline ends the request before the last timeout can fire: the caller gets a "
            "504 that names no part, and the work before it was for nothing (req 4.5)."
        ),
        fix=(
            "Shorten a timeout, cap the list with `each_max`, raise the deadline, or record why "
            "it is right with `allow_overcommit`."
        ),
        example='orders = Upstream("orders", "http://orders:9001", timeout="80ms")',
    ),
    "TR115": CodeDoc(
        title="One request could fill a bulkhead",
        what=(
            "The calls that one request of the view may have in flight at once reach the limit "
            "of an upstream's bulkhead."
        ),
        why_bad=(
            "A single request would make every other call of that upstream wait or be refused "
            "(req 4.3, 4.4)."
        ),
        fix=(
            "Raise the bulkhead, lower the view's fan-out or the part's `each_max`, or record why "
            "it is right with `allow_overcommit`."
        ),
        example='stock = Upstream("stock", "http://stock:9003", bulkhead=64)',
    ),
    "TR116": CodeDoc(
        title="`allow_overcommit` gives no reason",
        what="The value is empty, no text, longer than one line or above 200 characters.",
        why_bad="Whoever reads the limits later cannot tell a decision from an accident.",
        fix="Write one line that says why the limits do not have to add up.",
        example='@service.view("/report", allow_overcommit="nightly report, nobody waits for it")',
    ),
}
