"""Handlers and calls made by Python code.

The failure prevented: a handler that blocks every other one, and a URL made by formatting.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR140": CodeDoc(
        title="A handler is not `async def`",
        what="The decorated function is a plain function, a class or something else.",
        why_bad="A plain function would hold the event loop, and with it all other handlers.",
        fix="Write `async def`, or give it threads of its own: `threads=4`.",
        example='@service.get("/orders/{order_id}/summary")\nasync def summary(order_id: str): ...',
    ),
    "TR141": CodeDoc(
        title="A handler's parameter has no source",
        what=(
            "A parameter is neither a placeholder of the route, nor declared with `query()` or "
            "`header()`, nor annotated `Scope`; or it cannot be given by name."
        ),
        why_bad="Nothing would say what it is when a request comes.",
        fix="Name a placeholder, or declare it: `page: int = query(default=1)`.",
        example="async def summary(order_id: str, page: int = query(default=1)): ...",
    ),
    "TR142": CodeDoc(
        title="A call's values do not fit its template",
        what="A call of Python code lacks a value, has one too many, or its path was formatted.",
        why_bad=(
            "A formatted path lets a value leave its segment, and makes a new call of every "
            "request."
        ),
        fix="Write the name in braces and give the value beside it.",
        example='orders.get("/orders/{id}", Order, id=order_id)',
    ),
    "TR143": CodeDoc(
        title="A handler's limit is out of range",
        what="`limit` or `threads` is not a whole number from 1 to 65535.",
        why_bad="A handler without a limit keeps what piles up behind it.",
        fix="Leave it out for the default, or give a whole number.",
        example='@service.get("/report", limit=32)',
    ),
    "TR144": CodeDoc(
        title="A handler does not say what it returns",
        what="The function has no return annotation, or one that cannot be made JSON.",
        why_bad="Its reply could be anything, and nobody could rely on it (req 6.2).",
        fix="Annotate a model, or `bytes` for JSON that is ready.",
        example="async def summary(order_id: str) -> Summary: ...",
    ),
}
