"""Parameters: type, limits, default as text.

The failure prevented: a parameter whose limits silently do not apply to its type, or a placeholder
whose declaration has another name. Values arrive as text; the shape must be one scalar.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from tailrace._lower.context import Context, at
from tailrace._missing import MISSING
from tailrace._shapes import Trail, type_name
from tailrace._shapes.table import SCALARS
from tailrace._shapes.values import typed_json
from tailrace._source import annotation, target
from tailrace.errors import suggestion
from tailrace.parameters import ParameterDeclaration
from tailrace.view import Member

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope

PATH_LENGTH_MAX = 256
_NUMBERS = frozenset({"ge", "gt", "le", "lt"})
_TEXTS = frozenset({"min_length", "max_length", "pattern"})
_FIT = {"integer": _NUMBERS, "number": _NUMBERS, "string": _TEXTS}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")

Declared = tuple[Member, ParameterDeclaration, Any]


def lower_parameters(
    context: Context, scope: ViewScope, declared: list[Declared]
) -> list[dict[str, Any]]:
    """Placeholders in route order, then the others in declared order."""
    by_name = {member.name: (member, one, type_) for member, one, type_ in declared}
    lowered: list[dict[str, Any]] = []
    for name in dict.fromkeys(scope.placeholders):
        found = by_name.get(name)
        if found is None or found[1].location != "path":
            if found is not None:
                _wrong_location(context, found)
                by_name.pop(name)
            shape = context.shapes.add("string", length_min=1, length_max=PATH_LENGTH_MAX)
            lowered.append({"name": name, "in": "path", "shape": shape, "required": True})
        else:
            lowered.append(_parameter(context, by_name.pop(name)))
    wires: dict[tuple[str, str], str] = {}
    for member, one, type_ in by_name.values():
        if one.location == "path":
            message = f"route `{scope.view.path}` has no placeholder `{{{member.name}}}`"
            helps = suggestion(member.name, scope.placeholders, "placeholders")
            context.problem("TR040", message, target(one.place), helps=helps)
            continue
        row = _parameter(context, (member, one, type_))
        wire = (one.location, str(row["wire_name"]).lower())
        if wire in wires:
            message = (
                f"`{member.name}` and `{wires[wire]}` read the same {one.location} `{wire[1]}`"
            )
            helps = ("declare it once and use it in several templates",)
            context.problem("TR045", message, target(one.place), helps=helps)
        wires[wire] = member.name
        lowered.append(row)
    return lowered


def _wrong_location(context: Context, declared: Declared) -> None:
    member, one, _ = declared
    message = f"`{{{member.name}}}` is a placeholder of the route, declared as {one.location}()"
    helps = (f"{member.name}: str = path()", "or give the placeholder another name")
    context.problem("TR025", message, target(one.place), helps=helps)


def _parameter(context: Context, declared: Declared) -> dict[str, Any]:
    member, one, type_ = declared
    shape, optional = _shape(context, member.name, one, type_)
    row: dict[str, Any] = {"name": member.name, "in": one.location}
    if one.location != "path":
        row["wire_name"] = _wire_name(context, member.name, one)
    row["shape"] = shape
    row["required"] = one.location == "path" or (one.default is MISSING and not optional)
    if optional and one.location == "path":
        message = f"path parameter `{member.name}` cannot be optional"
        helps = ("a route without the segment is another route: declare a second view",)
        context.problem("TR043", message, annotation(one.place), helps=helps)
    if one.default is not MISSING:
        text = _default(context, member.name, one, type_, optional)
        if text is not None:
            row["default"] = text
    return row


def _shape(context: Context, name: str, one: ParameterDeclaration, type_: Any) -> tuple[int, bool]:
    from pydantic import Field

    shapes = context.shapes
    text = shapes.add("string", length_min=1, length_max=PATH_LENGTH_MAX)
    if not _is_type(type_):
        return text, False
    trail = Trail(name, annotation(one.place))
    before = len(context.problems)
    plain = context.walk.type(type_, trail)
    inner = shapes.unwrap(plain)
    kind = shapes.kind(inner)
    if len(context.problems) > before:
        return text, False
    if kind not in SCALARS:
        message = f"parameter `{name}` is {shapes.describe(inner)}; a parameter is one scalar"
        helps = ("use str, int, float, bool, Literal, Enum, UUID, date, datetime or Decimal",)
        context.problem("TR041", message, annotation(one.place), helps=helps)
        return text, False
    known = _FIT.get(kind, frozenset()) if "format" not in shapes.rows[inner] else frozenset()
    odd = [limit for limit in one.constraints if limit not in known]
    for limit in odd:
        message = f"`{limit}` does not apply to parameter `{name}` of type `{type_name(type_)}`"
        fitting = [f"for this type: {', '.join(sorted(known))}"] if known else []
        context.problem("TR046", message, at(one.place, limit), helps=fitting)
    limits = {limit: value for limit, value in one.constraints.items() if limit in known}
    if limits:
        pointed = Trail(name, at(one.place, "pattern") if "pattern" in limits else one.place)
        plain = context.walk.type(Annotated[type_, Field(**limits)], pointed)
        if len(context.problems) > before:
            return text, False
    return _segment(context, one, shapes.unwrap(plain)), shapes.nullable(plain)


def _segment(context: Context, one: ParameterDeclaration, index: int) -> int:
    """Text in a path is never empty, and never longer than said or 256."""
    row = context.shapes.rows[index]
    if one.location != "path" or row["kind"] != "string" or "format" in row:
        return index
    return context.shapes.add(
        "string",
        length_min=max(1, row.get("length_min", 1)),
        length_max=row.get("length_max", PATH_LENGTH_MAX),
        pattern=row.get("pattern"),
    )


def _wire_name(context: Context, name: str, one: ParameterDeclaration) -> str:
    if one.location in ("query", "form"):
        if one.wire_name is not None and not one.wire_name:
            helps = ("leave `alias` out to use the attribute's name",)
            place = at(one.place, "alias")
            context.problem("TR046", f"`alias` of `{name}` is empty", place, helps=helps)
        return one.wire_name or name
    wire = one.wire_name if one.wire_name is not None else name.replace("_", "-")
    if not isinstance(wire, str) or not _HEADER.fullmatch(wire):
        helps = ("a header name is letters, digits and `-`, without colon or spaces",)
        place = at(one.place, "name", 0)
        context.problem(
            "TR013", f"parameter `{name}`: {wire!r} is no header name", place, helps=helps
        )
        return name
    return wire.lower()


def _default(
    context: Context, name: str, one: ParameterDeclaration, type_: Any, optional: bool
) -> str | None:
    place = at(one.place, "default")
    if not _is_type(type_) or (one.default is None and optional):
        return None
    try:
        value = typed_json(type_, one.default)
    except ValueError as error:
        message = f"the default of parameter `{name}` is no `{type_name(type_)}`: {error}"
        none_help = f"write `{name}: {type_name(type_)} | None` for a parameter that may be absent"
        helps = [none_help] if one.default is None else []
        context.problem("TR042", message, place, helps=helps)
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _is_type(type_: Any) -> bool:
    from tailrace._lower.views import MISSING_TYPE

    return type_ is not MISSING_TYPE
