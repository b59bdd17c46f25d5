"""Computed fields: what Python makes of the parts, and what bounds it.

The failure prevented: a coroutine that nobody awaits, an argument that nobody gives, and a field
that fails for the first time when its reply is due: with nothing to stand in, under a name that is
taken, or with a type that cannot become JSON.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, Final

from tailrace._codec import encoder
from tailrace._lower.context import Context, at
from tailrace._lower.layout import reply_names
from tailrace._missing import MISSING
from tailrace._shapes import type_name
from tailrace._source import inner_argument
from tailrace.policies import Computed

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope
    from tailrace.view import ComputedDeclaration, Member

LIMIT_MAX: Final = (1 << 16) - 1


def lower_computed(context: Context, scope: ViewScope, reserved: set[str]) -> dict[str, Any] | None:
    """The blueprint's `computed` of a view; `None` when nothing is computed."""
    bounds = _bounds(context, scope)
    fields = [_field(context, scope, *found, reserved) for found in scope.computed]
    if not scope.computed:
        return None
    if scope.view.collection is not None:
        message = f"{scope.label} has computed fields, and its reply is a list"
        helps = ("leave `collection` out, or compute in a handler",)
        context.problem("TR155", message, at(scope.view.place, "collection"), helps=helps)
    return {**bounds, "fields": fields}


def _bounds(context: Context, scope: ViewScope) -> dict[str, Any]:
    view = scope.view
    declared = getattr(view, "computed", None)
    place, base = view.place, f"views.{view.name}.computed"
    if declared is not None and not isinstance(declared, Computed):
        message = f"computed of {scope.label} cannot be {declared!r}"
        helps = ('write computed=Computed(time="10ms", limit=128), or leave it out',)
        context.problem("TR154", message, at(place, "computed"), helps=helps)
        declared = None
    usual = Computed()
    key = ("views", view.name)
    touched = [context.overrides.find((*key, f"computed_{one}")) for one in ("time", "limit")]
    if not scope.computed:
        set_here = next((one.place for one in touched if one is not None), at(place, "computed"))
        if declared is not None or any(touched):
            message = f"{scope.label} bounds computed fields and has none"
            helps = ("take it out, or decorate a method: @computed",)
            context.problem("TR154", message, set_here, helps=helps)
        return {}
    time = context.setting(
        (*key, "computed_time"),
        None if declared is None else declared.time,
        usual.time,
        inner_argument(place, "computed", "time"),
        f"{base}.time_ms",
    )
    limit = context.setting(
        (*key, "computed_limit"),
        None if declared is None else declared.limit,
        usual.limit,
        inner_argument(place, "computed", "limit"),
        f"{base}.limit",
    )
    kept = context.duration(time, f"time of the computed fields of {scope.label}")
    if scope.deadline_ms and kept >= scope.deadline_ms:
        message = f"{kept:g} ms are kept for the computed fields of {scope.label}"
        notes = (f"its deadline is {scope.deadline_ms:g} ms: nothing is left for the parts",)
        helps = ("keep less, or raise the view's deadline",)
        context.problem("TR154", message, time.place, notes=notes, helps=helps)
    most = context.count(
        limit, f"limit of the computed fields of {scope.label}", "TR154", 1, LIMIT_MAX
    )
    return {"limit": most, "time_ms": kept}


def _field(
    context: Context, scope: ViewScope, member: Member, after: int, reserved: set[str]
) -> dict[str, Any]:
    declared: ComputedDeclaration[Any] = member.value
    name = member.name
    row: dict[str, Any] = {
        "name": name,
        "strength": "weak" if declared.weak else "strong",
        "after": after,
    }
    _check_name(context, scope, name, declared, reserved)
    if _check_function(context, name, declared):
        fallback = _fallback(context, scope, member, declared)
        if fallback is not MISSING:
            row["default"] = fallback
    return row


def _check_name(
    context: Context,
    scope: ViewScope,
    name: str,
    declared: ComputedDeclaration[Any],
    reserved: set[str],
) -> None:
    holders = reply_names(context, scope) | dict.fromkeys(reserved, "the reply's envelope")
    holders |= {one: f"the parameter `{{{one}}}` of the route" for one in scope.placeholders}
    if name in holders:
        message = f"computed field `{name}` has the name of {holders[name]}"
        helps = ("rename the method, or what has the name now",)
        context.problem("TR155", message, declared.place, helps=helps)


def _check_function(context: Context, name: str, declared: ComputedDeclaration[Any]) -> bool:
    """Whether the code can be called as it is written, once, with `self` alone."""
    function = declared.function
    place = declared.place
    hint = "write `def`: it is called once, when the parts are there"
    helps: tuple[str, ...]
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        message = f"computed field `{name}` is `async def`, and nobody would await it"
        helps = (hint, "what has to be fetched is a part of the view, or belongs into a handler")
        context.problem("TR150", message, place, helps=helps)
        return False
    if inspect.isgeneratorfunction(function):
        message = f"computed field `{name}` is a generator, and nobody would exhaust it"
        helps = ("return a list: `return [...]` instead of `yield`",)
        context.problem("TR150", message, place, helps=helps)
        return False
    if not inspect.isfunction(function):
        message = f"computed field `{name}` is no plain method but a {type(function).__name__}"
        helps = ("decorate a method of the view: `@computed` above `def`",)
        context.problem("TR150", message, place, helps=helps)
        return False
    wanted = [one.name for one in inspect.signature(function).parameters.values()]
    if len(wanted) != 1:
        extra = ", ".join(f"`{one}`" for one in wanted[1:])
        message = f"computed field `{name}` takes {extra}" if extra else f"`{name}` takes no `self`"
        helps = (f"write `def {name}(self)`, and read parts and parameters from `self`",)
        context.problem("TR151", message, place, helps=helps)
        return False
    return True


def _fallback(
    context: Context, scope: ViewScope, member: Member, declared: ComputedDeclaration[Any]
) -> Any:
    """What stands in for a weak field; `MISSING` when it is strong or null."""
    result = _result(context, scope, member, declared)
    if result is MISSING or not declared.weak:
        return MISSING
    from tailrace._codec import is_struct
    from tailrace._shapes.values import typed_json

    shown = type_name(result)
    value = None if declared.default is MISSING else declared.default
    helps: tuple[str, ...]
    try:
        if value is not None and is_struct(result):
            return json.loads(encoder(result)(value))
        found = typed_json(result, value)
    except Exception as error:  # Whatever a model's own validators raise.
        if declared.default is MISSING:
            message = f"weak computed field `{member.name}` needs a fallback"
            label = "when its code fails, the reply has no value to use"
            helps = (f"allow null: `-> {shown} | None`", "or give a value: @computed(default=...)")
        else:
            message = f"the default of computed field `{member.name}` is no `{shown}`"
            label = str(error).split("\n")[0]
            helps = (f"give a value that `{shown}` takes",)
        place = at(declared.place, "default")
        context.problem("TR153", message, place, label=label, helps=helps)
        return MISSING
    return MISSING if found is None else found


def _result(
    context: Context, scope: ViewScope, member: Member, declared: ComputedDeclaration[Any]
) -> Any:
    """The type that the code returns, when it can be a field; else `MISSING`, after saying why."""
    name, place = member.name, declared.place
    try:
        result = scope.view.result(member)  # type: ignore[union-attr] # Handlers have none.
    except KeyError as error:
        if error.args != ("return",):
            return _unreadable(context, name, declared, error)
        message = f"computed field `{name}` does not say what it returns"
        helps = (f"annotate it: `def {name}(self) -> Model`",)
        context.problem("TR152", message, place, helps=helps)
        return MISSING
    except Exception as error:  # An annotation is the user's code and may raise anything.
        return _unreadable(context, name, declared, error)
    if result is bytes:
        message = f"computed field `{name}` returns `bytes`, which may be no JSON at all"
        helps = ("return a model or a plain value: it is checked, and written as JSON",)
        context.problem("TR152", message, place, helps=helps)
        return MISSING
    try:
        encoder(result)
    except Exception as error:  # Building a type runs the user's code.
        reason = str(error).split("\n")[0].split(". ")[0]
        message = f"what computed field `{name}` returns cannot become JSON: {reason}"
        helps = ("return a pydantic model, a dataclass, a `msgspec.Struct` or a plain value",)
        context.problem("TR152", message, place, helps=helps)
        return MISSING
    return result


def _unreadable(
    context: Context, name: str, declared: ComputedDeclaration[Any], error: Exception
) -> Any:
    message = f"the type of computed field `{name}` cannot be read: {error}"
    helps = ("import it at run time, not under TYPE_CHECKING, and define it before the service",)
    context.problem("TR028", message, declared.place, helps=helps)
    return MISSING
