"""Fields of parts, followed through the declared models.

The failure prevented: `{order.userid}` that renders nothing at the first request. A path of names is
followed through shapes; each name must be a declared field of what the one before it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from tailrace._lower.context import Context
from tailrace._source import Place
from tailrace.errors import suggestion


def descend(
    context: Context, index: int, seen: Sequence[str], fields: Sequence[str], place: Place
) -> int | None:
    """The shape at `fields` below `index`; reports and gives `None` when there is none."""
    walked = list(seen)
    for name in fields:
        known = context.shapes.fields(index)
        shown = ".".join(walked)
        if known is None:
            message = f"`{shown}` is {context.shapes.describe(index)} and has no field `{name}`"
            helps = ("only fields of declared models can be named",)
            context.problem("TR052", message, place, helps=helps)
            return None
        if name not in known:
            message = f"`{shown}` has no field `{name}`"
            context.problem("TR052", message, place, helps=suggestion(name, known, "fields"))
            return None
        walked.append(name)
        index = known[name]
    return index


def scalar(
    context: Context, index: int, seen: Sequence[str], fields: Sequence[str], place: Place
) -> bool:
    """Whether the field is text, a number or a boolean; reports why not."""
    found = descend(context, index, seen, fields, place)
    if found is None:
        return False
    if not context.shapes.scalar(found):
        text = ".".join([*seen, *fields])
        message = f"`{text}` is {context.shapes.describe(found)}; a template needs one value"
        inner = context.shapes.fields(found)
        helps = tuple(f"name a field of it: `{{{text}.{one}}}`" for one in list(inner or ())[:1])
        context.problem("TR053", message, place, helps=helps)
        return False
    return True
