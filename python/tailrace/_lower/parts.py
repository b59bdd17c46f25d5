"""Parts: strength, fallback, timeout, `each`.

The failure prevented: a weak part with nothing to stand in its place, found when its upstream is
down for the first time; a fan-out over something that is no list, or without a cap (req 4.2, 8.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace._lower.caches import part_cache
from tailrace._lower.calls import lower_call
from tailrace._lower.conditions import check_skipped, lower_condition
from tailrace._lower.context import Context, at
from tailrace._lower.fields import descend
from tailrace._lower.layout import lower_layout, reply_name
from tailrace._lower.otherwise import lower_otherwise
from tailrace._missing import MISSING
from tailrace._origin import Setting
from tailrace._shapes import type_name
from tailrace._shapes.values import typed_json
from tailrace._source import annotation, target
from tailrace.dependencies import EACH_MAX_DEFAULT, PartDeclaration
from tailrace.errors import suggestion
from tailrace.quantities import duration_text
from tailrace.templates import TemplateError, parse

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope

EACH_MAX = (1 << 16) - 1


def lower_part(context: Context, scope: ViewScope, name: str) -> dict[str, Any] | None:
    part = scope.parts[name]
    scope.needs[name] = set()
    each, item = _each(context, scope, name, part)
    lowered: dict[str, Any] = {
        "name": reply_name(scope, name),
        "strength": part.strength,
        "upstream": part.call.upstream.name,
        "method": part.call.method,
        **lower_call(context, scope, name, item),
    }
    when = lower_condition(context, scope, name)
    if when is not None:
        lowered["when"] = when
    timeout = _timeout(context, scope, name, part)
    if timeout is not None:
        lowered["timeout_ms"] = timeout
    if each is not None:
        lowered["each"] = each
    lowered |= part_cache(context, scope, name, lowered)
    lowered |= lower_otherwise(context, scope, name)
    if name not in scope.shapes:
        return None
    whole = scope.shapes[name]
    lowered["shape"] = whole if part.each is None else _item_shape(context, scope, name, part)
    if name in scope.unsound:
        return lowered
    lowered.update(lower_layout(context, scope, name))
    if part.when is not None and part.default is MISSING and part.each is None:
        check_skipped(context, scope, name)
    if part.default is not MISSING:
        default = _default(context, scope, name, part)
        if default is not MISSING:
            lowered["default"] = default
    elif part.strength == "weak" and not context.shapes.nullable(whole):
        _no_fallback(context, scope, name, part)
    return lowered


def _no_fallback(context: Context, scope: ViewScope, name: str, part: PartDeclaration) -> None:
    shown = type_name(scope.types[name])
    example = "[]" if part.each else f"{shown}(...)"
    context.problem(
        "TR104",
        f"weak part `{name}` needs a fallback",
        target(part.place),
        label="when it fails, the reply has no value to use",
        notes=(f"{scope.label} declares `{name}: {shown}`, which cannot be null",),
        helps=(
            f"allow null: `{name}: {shown} | None`",
            f"or give a value: weak(..., default={example})",
        ),
    )


def _timeout(context: Context, scope: ViewScope, name: str, part: PartDeclaration) -> float | None:
    if part.timeout is None:
        return None
    place = at(part.place, "timeout")
    path = f"views.{scope.view.name}.parts.{reply_name(scope, name)}.timeout_ms"
    context.origins[path] = f"code {place}"
    setting = Setting(part.timeout, context.origins[path], place)
    timeout = context.duration(setting, f"timeout of part `{name}`")
    if scope.deadline_ms and timeout > scope.deadline_ms:
        asked, left = duration_text(timeout), duration_text(scope.deadline_ms)
        message = f"part `{name}` may take {asked}, its view only {left}"
        notes = (f"{scope.label} has the deadline {left}: the part would be cut off first",)
        helps = ("lower the timeout or raise the view's deadline",)
        context.problem("TR106", message, place, notes=notes, helps=helps)
    return timeout


def _default(context: Context, scope: ViewScope, name: str, part: PartDeclaration) -> Any:
    try:
        return typed_json(scope.types[name], part.default)
    except ValueError as error:
        shown = type_name(scope.types[name])
        message = f"the default of part `{name}` is no `{shown}`"
        helps = (f"declare `{name}: {shown} | None`",) if part.default is None else ()
        place = at(part.place, "default")
        context.problem("TR105", message, place, label=str(error), helps=helps)
        return MISSING


def _item_shape(context: Context, scope: ViewScope, name: str, part: PartDeclaration) -> int:
    """The shape of one result: the item of the part's list type."""
    shapes = context.shapes
    row = shapes.rows[shapes.unwrap(scope.shapes[name])]
    shown = type_name(scope.types[name])
    if row["kind"] != "array":
        if row["kind"] != "any":
            message = f"part `{name}` makes one call per item, but its type is no list: `{shown}`"
            helps = (f"declare `{name}: list[{shown}]`",)
            context.problem("TR108", message, annotation(part.place), helps=helps)
        return scope.shapes[name]
    item = int(row["items"])
    if part.strength == "weak" and not shapes.nullable(item):
        context.problem(
            "TR109",
            f"items of the weak part `{name}` must allow null",
            annotation(part.place),
            label="a failed item becomes null and keeps its position",
            helps=(f"declare `{name}: list[Item | None]` with the item's own type",),
        )
    return item


def _each(
    context: Context, scope: ViewScope, name: str, part: PartDeclaration
) -> tuple[dict[str, Any] | None, int | None]:
    """The lowered `each` and the shape of the item its templates read."""
    helps: tuple[str, ...]
    if part.each is None:
        if part.each_max is not None:
            message = f"part `{name}` has `each_max` but no `each`"
            helps = ('name the list: each="order.items"',)
            context.problem("TR111", message, at(part.place, "each_max"), helps=helps)
        return None, None
    place = at(part.place, "each_max")
    cap = Setting(EACH_MAX_DEFAULT if part.each_max is None else part.each_max, "code", place)
    items_max = context.count(cap, f"each_max of part `{name}`", "TR111", 1, EACH_MAX)
    if "item" in scope.parts or "item" in scope.parameters:
        message = f"part `{name}` uses `each`, where `{{item}}` means the current item"
        helps = ("rename the part or parameter `item`",)
        context.problem("TR025", message, at(part.place, "each"), helps=helps)
    names = _each_names(part.each)
    place = at(part.place, "each")
    if names and names[0] in scope.broken:
        return None, None
    body = [] if scope.body is None else [scope.body[0]]
    if not names or names[0] not in [*scope.parts, *body] or names[0] == name:
        known = [*(other for other in scope.parts if other != name), *body]
        message = f"`each={part.each!r}` of part `{name}` does not name a part"
        helps = suggestion(names[0] if names else str(part.each), known, "parts")
        context.problem("TR107", message, place, helps=helps)
        return None, None
    source, *fields = names
    scope.needs[name].update({source} & set(scope.parts))
    each = {"part": reply_name(scope, source), "field": fields, "items_max": items_max}
    if source not in scope.shapes:
        return each, None
    index = descend(context, scope.shapes[source], [source], fields, place)
    if index is None:
        return each, None
    row = context.shapes.rows[context.shapes.unwrap(index)]
    if row["kind"] != "array":
        message = f"`{part.each}` is {context.shapes.describe(index)}, not a list"
        helps = ('name a list: each="order.items"',)
        context.problem("TR107", message, place, helps=helps)
        return each, None
    return each, int(row["items"])


def _each_names(each: object) -> list[str]:
    """`order.items`, with or without braces."""
    if not isinstance(each, str):
        return []
    text = each if each.startswith("{") else "{" + each + "}"
    try:
        fragments = parse(text)
    except TemplateError:
        return []
    return list(getattr(fragments[0], "names", ())) if len(fragments) == 1 else []
