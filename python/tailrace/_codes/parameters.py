"""Parameters of views.

The failure prevented: text from outside that reaches an upstream unchecked.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR040": CodeDoc(
        title="A path parameter has no placeholder",
        what="A `path()` declaration has a name that the route does not have.",
        why_bad="Its limits would apply to nothing.",
        fix="Use the placeholder's name.",
        example="order_id: str = path(max_length=64)",
    ),
    "TR041": CodeDoc(
        title="A parameter is not one scalar",
        what=("The type of a parameter is a list, a model or anything that text cannot hold."),
        why_bad="A parameter is one piece of text on the wire.",
        fix="Use str, int, float, bool, Literal, Enum, UUID, date, datetime or Decimal.",
        example="page: int = query(default=1, ge=1)",
    ),
    "TR042": CodeDoc(
        title="A parameter's default does not fit its type",
        what="The default would be refused if a client sent it.",
        why_bad="Requests without the parameter would behave like no request can.",
        fix="Change the default or the type.",
        example="verbose: bool = query(default=False)",
    ),
    "TR043": CodeDoc(
        title="A path parameter is optional",
        what="A placeholder is declared with a type that allows `None`.",
        why_bad="A path without the segment is another route.",
        fix="Declare a second view for the other route.",
        example="order_id: str = path()",
    ),
    "TR044": CodeDoc(
        title="A pattern cannot run in the plane",
        what=(
            "The pattern needs look-around, back-references or other features without a "
            "bound on time."
        ),
        why_bad="One crafted value could hold a worker for seconds.",
        fix="Rewrite it; patterns are Rust `regex` syntax, searched, not anchored.",
        example='pattern=r"^[\\w-]+$"',
    ),
    "TR045": CodeDoc(
        title="Two parameters read the same name",
        what="Two declarations read one query key or header.",
        why_bad="They would be validated by different rules.",
        fix="Declare it once and use it in several templates.",
        example='tenant: str = header("x-tenant")',
    ),
    "TR046": CodeDoc(
        title="A limit does not apply to the type",
        what=(
            "A limit of numbers is given for text, or the reverse, or a name on the wire is empty."
        ),
        why_bad="It would be ignored.",
        fix=("Use min_length, max_length and pattern for text; ge, gt, le and lt for numbers."),
        example="page: int = query(ge=1, le=100)",
    ),
}
