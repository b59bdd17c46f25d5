"""How parts become the reply: under other names, unwrapped, merged, appended, or one list alone.

The failure prevented: a reply with one key twice, or one whose keys depend on what an upstream
happened to answer. Every name of the reply is known from the models, and no two are the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tailrace._lower.context import Context, at
from tailrace._source import target
from tailrace.dependencies import PartDeclaration
from tailrace.errors import suggestion

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_FIELD = re.compile(r"[^.\s]+(?:\.[^.\s]+)*")


def reply_name(scope: ViewScope, name: str) -> str:
    """What the part is called in the blueprint and in the reply."""
    part = scope.parts.get(name)
    renamed = None if part is None else part.name
    return renamed if isinstance(renamed, str) else name


def lower_layout(context: Context, scope: ViewScope, name: str) -> dict[str, Any]:
    """`unwrap`, `merge` and `append` of a part whose shape is known."""
    part = scope.parts[name]
    lowered: dict[str, Any] = {}
    if part.unwrap is not None:
        lowered["unwrap"] = _unwrap(context, scope, name, part)
    if part.merge:
        lowered["merge"] = True
    if part.append is not None:
        _check_append(context, scope, name, part)
        lowered["append"] = reply_name(scope, str(part.append))
    return lowered


def _unwrap(context: Context, scope: ViewScope, name: str, part: PartDeclaration) -> dict[str, Any]:
    """The shape of the whole answer: objects around the declared one, other keys dropped."""
    if not isinstance(part.unwrap, str) or not _FIELD.fullmatch(part.unwrap):
        message = f"`unwrap={part.unwrap!r}` of part `{name}` names no key"
        helps = ('name the keys with dots: unwrap="data.order"',)
        context.problem("TR084", message, at(part.place, "unwrap"), helps=helps)
        return {"shape": scope.shapes[name], "field": ["value"]}
    keys = part.unwrap.split(".")
    shape = scope.shapes[name] if part.each is None else _item(context, scope, name)
    for key in reversed(keys):
        row: dict[str, Any] = {"name": key, "from": [key], "shape": shape, "required": True}
        if context.shapes.nullable(shape):
            row |= {"required": False, "default": None}
        shape = context.shapes.add("object", fields=[row], extra="drop")
    return {"shape": shape, "field": keys}


def _item(context: Context, scope: ViewScope, name: str) -> int:
    row = context.shapes.rows[context.shapes.unwrap(scope.shapes[name])]
    return int(row.get("items", scope.shapes[name]))


def _check_append(context: Context, scope: ViewScope, name: str, part: PartDeclaration) -> None:
    place = at(part.place, "append")
    found = scope.parts.get(part.append or "")
    if found is None or part.append == name or found.append is not None:
        lists = [one for one in scope.parts if one != name and _is_list(context, scope, one)]
        message = f"`append={part.append!r}` of part `{name}` names no other part of the reply"
        helps = suggestion(str(part.append), lists, "lists")
        context.problem("TR082", message, place, helps=helps)
        return
    for one in (name, str(part.append)):
        if one in scope.shapes and one not in scope.unsound and not _is_list(context, scope, one):
            shown = context.shapes.describe(scope.shapes[one])
            message = f"`{one}` is {shown}, and only a list can continue a list"
            helps = (f"declare `{one}: list[...]`",)
            context.problem("TR082", message, place, helps=helps)


def _is_list(context: Context, scope: ViewScope, name: str) -> bool:
    if name not in scope.shapes:
        return False
    return context.shapes.kind(context.shapes.unwrap(scope.shapes[name])) in ("array", "tuple")


def check_reply(context: Context, scope: ViewScope, reserved: set[str]) -> str | None:
    """Every name of the reply once; the blueprint's `collection`."""
    names: dict[str, str] = {}
    for name, part in scope.parts.items():
        if part.name is not None and not (
            isinstance(part.name, str) and _NAME.fullmatch(part.name)
        ):
            message = f"part `{name}` cannot be called {part.name!r} in the reply"
            helps = ("letters, digits, `-` and `_`, at most 64",)
            context.problem("TR080", message, at(part.place, "name"), helps=helps)
            continue
        if part.append is not None:
            continue
        shown = _merged(context, scope, name, part) if part.merge else [reply_name(scope, name)]
        for field in shown:
            holder = _holder(scope, name, field, names)
            if field in reserved:
                holder = "the reply's envelope"
            if holder is not None and (part.merge or part.name is not None):
                _report_twice(context, part, name, field, holder)
            names.setdefault(field, name)
    return _collection(context, scope)


def reply_names(context: Context, scope: ViewScope) -> dict[str, str]:
    """Every name of the reply that a part has, with what has it."""
    names: dict[str, str] = {}
    for name, part in scope.parts.items():
        holder = f"part `{name}`"
        if part.merge:
            names |= dict.fromkeys(_merged_fields(context, scope, name) or [], holder)
        elif part.append is None:
            names[reply_name(scope, name)] = holder
    return names


def _holder(scope: ViewScope, name: str, field: str, names: dict[str, str]) -> str | None:
    """The other part that has `field` as a name of the reply."""
    own = field in scope.parts and not scope.parts[field].merge and field != name
    other = names.get(field) or (field if own else None)
    return None if other is None else f"part `{other}`"


def _report_twice(
    context: Context, part: PartDeclaration, name: str, field: str, holder: str
) -> None:
    what = f"field `{field}` of the merged part `{name}`" if part.merge else f"`{field}`"
    message = f"{what} is also a name of {holder}"
    helps = ("the reply has each name once: rename one of them, or do not merge",)
    place = at(part.place, "merge" if part.merge else "name")
    context.problem("TR081", message, place, helps=helps)


def _merged(context: Context, scope: ViewScope, name: str, part: PartDeclaration) -> list[str]:
    if name not in scope.shapes or name in scope.unsound:
        return []
    fields = _merged_fields(context, scope, name)
    if fields is not None and part.each is None:
        return fields
    message = f"part `{name}` cannot be merged: only an object with known fields can be"
    helps = ("declare a model whose fields are all named (no `extra='allow'`, no list)",)
    context.problem("TR081", message, target(part.place), helps=helps)
    return []


def _merged_fields(context: Context, scope: ViewScope, name: str) -> list[str] | None:
    """The fields of a part that is an object with known ones."""
    if name not in scope.shapes or name in scope.unsound:
        return None
    row = context.shapes.rows[context.shapes.unwrap(scope.shapes[name])]
    if row.get("kind") != "object" or row.get("extra") != "drop":
        return None
    return [str(field["name"]) for field in row["fields"]]


def _collection(context: Context, scope: ViewScope) -> str | None:
    name = scope.view.collection
    if name is None:
        return None
    if name in scope.parts and name not in scope.shapes:
        return None  # Its type is reported already.
    if not isinstance(name, str) or not _is_list(context, scope, name):
        lists = [one for one in scope.parts if _is_list(context, scope, one)]
        message = f"`collection={name!r}` of {scope.label} names no part that is a list"
        helps = suggestion(str(name), lists, "lists")
        context.problem("TR083", message, at(scope.view.place, "collection"), helps=helps)
        return None
    return reply_name(scope, name)
