"""Templates of paths, queries and headers.

The failure prevented: a value that leaves the place it was meant for.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR050": CodeDoc(
        title="A template cannot be read",
        what="Braces do not match, a reference is no name, or the value is not text.",
        why_bad="What would be sent is not what was meant.",
        fix="A reference is a name and fields; `{{` writes a brace.",
        example='orders.get("/orders/{order_id}")',
    ),
    "TR051": CodeDoc(
        title="A template names nothing that exists",
        what="The name is neither a parameter nor a part of the view.",
        why_bad="The call could never be made.",
        fix="Use a declared name.",
        example='users.get("/users/{order.user_id}")',
    ),
    "TR052": CodeDoc(
        title="A field does not exist",
        what="The model of the part, or the parameter, has no field of that name.",
        why_bad="The call would fail on every request.",
        fix="Use a declared field, by the name the reply uses.",
        example='users.get("/users/{order.user_id}")',
    ),
    "TR053": CodeDoc(
        title="A field is not one value",
        what="The field is a list, an object or unchecked JSON.",
        why_bad="A path, query or header holds one piece of text.",
        fix="Name a scalar inside it, or use `each` for a list.",
        example='strong(inventory.get("/stock/{item.sku}"), each="order.items")',
    ),
    "TR054": CodeDoc(
        title="A path was formatted",
        what=(
            "The path has a query, or an empty or dot segment, as a formatted string leaves behind."
        ),
        why_bad=(
            "A formatted value is not encoded: it can reach another resource (path injection)."
        ),
        fix="Write names in braces, without `f`; give the query apart.",
        example='orders.get("/orders/{order_id}", query={"v": "{verbose}"})',
    ),
    "TR055": CodeDoc(
        title="A path does not start with `/`",
        what="The path is relative or a whole URL.",
        why_bad="The address belongs to the upstream, where it can be overridden.",
        fix="Start with `/`.",
        example='orders.get("/orders/{order_id}")',
    ),
    "TR056": CodeDoc(
        title="A part reads itself",
        what="A template of a part names the part.",
        why_bad="Its value is not there before its call.",
        fix="Read a parameter or another part.",
        example='user: User = strong(users.get("/users/{order.user_id}"))',
    ),
    "TR057": CodeDoc(
        title="Parts wait for each other",
        what="The references of the view's parts form a cycle.",
        why_bad="None of them could start; every request would run into its deadline.",
        fix="Take one of the references from a parameter.",
        example='user: User = strong(users.get("/users/{user_id}"))',
    ),
    "TR058": CodeDoc(
        title="A path needs a value that may be absent",
        what="A parameter without a value for each request stands in a path.",
        why_bad="A path with an empty segment is another resource.",
        fix="Give the parameter a default, or put it in the query.",
        example='lang: str = query(default="en")',
    ),
    "TR059": CodeDoc(
        title="A character cannot stand there",
        what="Literal text has a character that the place does not allow.",
        why_bad="It would break the request line or the header.",
        fix="Encode it as %XX in a path; use printable ASCII in a header.",
        example='orders.get("/new%20orders/{order_id}")',
    ),
    "TR060": CodeDoc(
        title="There is no item",
        what="`{item}` stands in a part without `each`.",
        why_bad="There is no list to take an item from.",
        fix="Name the list.",
        example='strong(inventory.get("/stock/{item.sku}"), each="order.items")',
    ),
}
