"""`when=`: whether a part's call is made at all.

The failure prevented: a call whose answer nobody needs, and a degraded reply because of it. A
condition names one value that is known before the call; whether it holds is decided in the plane.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tailrace._lower.context import Context, at
from tailrace._shapes import type_name
from tailrace._source import target
from tailrace.templates import Reference, TemplateError, parse

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope

_CONDITION = re.compile(
    r"(?P<negated>not\s+)?\{?(?P<name>[A-Za-z_][\w.-]*)\}?"
    r"(?:\s*(?P<sign>==|!=)\s*(?P<value>\"[^\"]*\"|'[^']*'|[\w.-]+))?"
)


def lower_condition(context: Context, scope: ViewScope, name: str) -> dict[str, Any] | None:
    """The blueprint's `when` of part `name`."""
    from tailrace._lower.calls import Site

    text = scope.parts[name].when
    if text is None:
        return None
    place = at(scope.parts[name].place, "when")
    matched = _CONDITION.fullmatch(text.strip()) if isinstance(text, str) else None
    reference = _reference(matched["name"]) if matched else None
    if matched is None or reference is None or (matched["negated"] and matched["sign"]):
        message = f"`when={text!r}` of part `{name}` is no condition"
        helps = ('write when="order.coupon", "not order.gift" or "order.kind == express"',)
        context.problem("TR074", message, place, helps=helps)
        return None
    site = Site(context, scope, name, None)
    compared = matched["sign"] is not None
    piece = site.piece(reference, place, "body", whole=not compared)
    if piece is None:
        return None
    if "item" in piece:
        message = f"`when` of part `{name}` decides about the whole part, not about an item"
        context.problem("TR074", message, place, helps=("name a parameter or a part's field",))
        return None
    lowered: dict[str, Any] = {"value": piece}
    if compared:
        value = matched["value"]
        lowered["equals"] = value[1:-1] if value[0] in "\"'" else value
    if matched["negated"] or matched["sign"] == "!=":
        lowered["negated"] = True
    return lowered


def check_skipped(context: Context, scope: ViewScope, name: str) -> None:
    """A part whose call is not made needs a value all the same."""
    if context.shapes.nullable(scope.shapes[name]):
        return
    shown = type_name(scope.types[name])
    message = f"part `{name}` has no value when its condition does not hold"
    helps = (f"allow null: `{name}: {shown} | None`", "or give it a default: default=...")
    context.problem("TR075", message, target(scope.parts[name].place), helps=helps)


def _reference(name: str) -> Reference | None:
    try:
        fragments = parse("{" + name + "}")
    except TemplateError:
        return None
    first = fragments[0]
    return first if isinstance(first, Reference) else None
