"""Handlers: a view of the blueprint that Python answers.

The failure prevented: a plain function that would hold the event loop, and a parameter that nobody
fills (req 6.2). Routes, names and parameters are checked as a view's are.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from tailrace._lower.bodies import claim_body, lower_request_body
from tailrace._lower.context import Context, at
from tailrace._lower.parameters import Declared, lower_parameters
from tailrace._origin import Setting
from tailrace.errors import suggestion
from tailrace.handlers import LIMIT_DEFAULT, HandlerDeclaration, declared
from tailrace.parameters import BodyDeclaration
from tailrace.scope import Scope
from tailrace.view import Member

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope

LIMIT_MAX = (1 << 16) - 1


def lower_handler(
    context: Context, scope: ViewScope, handler: HandlerDeclaration
) -> dict[str, Any]:
    """What the blueprint's view has of a handler: its parameters and its limit."""
    _check_function(context, handler)
    members = _parameters(context, scope, handler)
    parameters = lower_parameters(context, scope, members)
    body = lower_request_body(context, scope, handler.method, parameters)
    limit = _limit(context, handler)
    if handler.threads is not None:
        setting = Setting(handler.threads, "code", at(handler.place, "threads"))
        _count(context, handler, "threads", setting)
    row = {"parameters": parameters, "handler": {"limit": limit}, "parts": []}
    return row if body is None else {**row, "body": body}


def _limit(context: Context, handler: HandlerDeclaration) -> int:
    key, place = ("views", handler.name, "limit"), at(handler.place, "limit")
    path = f"views.{handler.name}.handler.limit"
    setting = context.setting(key, handler.limit, LIMIT_DEFAULT, place, path)
    return _count(context, handler, "limit", setting)


def _count(context: Context, handler: HandlerDeclaration, name: str, setting: Setting) -> int:
    return context.count(setting, f"{name} of handler `{handler.name}`", "TR143", 1, LIMIT_MAX)


def refuse_limit(context: Context, scope: ViewScope) -> None:
    """Only a handler has a limit of its own; a view is bounded by what it calls."""
    found = context.overrides.find(("views", scope.view.name, "limit"))
    if found is not None:
        message = f"{scope.label} is no handler and has no `limit`"
        helps = ("take it out; computed fields are bounded by `computed.limit`",)
        context.problem("TR143", message, found.place, helps=helps)


def _check_function(context: Context, handler: HandlerDeclaration) -> None:
    function = handler.function
    name = getattr(function, "__name__", repr(function))
    if inspect.iscoroutinefunction(function):
        if handler.threads is not None:
            message = f"handler `{name}` is `async def` and has threads"
            hint = "leave `threads` out: it runs on the event loop"
            context.problem("TR140", message, at(handler.place, "threads"), helps=(hint,))
        return
    if inspect.isfunction(function) and not inspect.isasyncgenfunction(function):
        if handler.threads is not None:
            return
        message = f"handler `{name}` is a plain function"
        helps: tuple[str, ...] = (
            f"write `async def {name}(...)` and await what it calls",
            f'or give it threads of its own: @service.get("{handler.path}", threads=4)',
        )
        label = "it would hold the event loop, and with it every other handler"
        context.problem("TR140", message, handler.place, label=label, helps=helps)
        return
    message = f"{name} is no function that can answer a request"
    helps = ("decorate an `async def` that returns a model",)
    context.problem("TR140", message, handler.place, helps=helps)


def _parameters(context: Context, scope: ViewScope, handler: HandlerDeclaration) -> list[Declared]:
    from tailrace._lower.views import MISSING_TYPE

    hints = _hints(context, handler)
    if hints is None:
        return []
    found: list[Declared] = []
    named = set()
    for member in handler.members():
        type_ = hints.get(member.name, MISSING_TYPE)
        if type_ is Scope:
            continue
        named.add(member.name)
        one = declared(member)
        if isinstance(one, BodyDeclaration):
            claim_body(context, scope, member, type_)
        elif one is not None:
            found.append((member, one, type_))
        elif member.name in scope.placeholders:
            _plain(handler, member, type_, found)
        else:
            _no_source(context, scope, handler, member)
    for name in scope.placeholders:
        if name not in named:
            message = f"handler `{handler.name}` has no parameter `{name}`, which its route names"
            helps = (f"add it: `{name}: str`",)
            context.problem("TR141", message, at(handler.place, "path", 0), helps=helps)
    return found


def _plain(
    handler: HandlerDeclaration,
    member: Member,
    type_: Any,
    found: list[Declared],
) -> None:
    """A placeholder by its name alone: text, unless the annotation says another scalar."""
    from tailrace._lower.views import MISSING_TYPE
    from tailrace._missing import MISSING
    from tailrace.parameters import ParameterDeclaration

    if type_ in (MISSING_TYPE, str):
        return  # As a view's undeclared placeholder.
    declaration = ParameterDeclaration("path", None, MISSING, {}, handler.place)
    found.append((member, declaration, type_))


def _no_source(
    context: Context, scope: ViewScope, handler: HandlerDeclaration, member: Member
) -> None:
    message = f"parameter `{member.name}` of handler `{handler.name}` has no source"
    helps = (
        *(
            suggestion(member.name, scope.placeholders, "placeholders")
            if scope.placeholders
            else ()
        ),
        f"declare it: `{member.name}: str = query()`, `= body()`, or annotate it `Scope`",
    )
    context.problem("TR141", message, handler.place, helps=helps)


def _hints(context: Context, handler: HandlerDeclaration) -> dict[str, Any] | None:
    try:
        hints = handler.hints()
    except Exception as error:  # An annotation is the user's code and may raise anything.
        message = f"the types of handler `{handler.name}` cannot be read: {error}"
        helps = ("import them at run time, not under TYPE_CHECKING",)
        context.problem("TR028", message, handler.place, helps=helps)
        return None
    _check_result(context, handler, hints)
    return hints


def _check_result(context: Context, handler: HandlerDeclaration, hints: dict[str, Any]) -> None:
    from tailrace._codec import encoder

    name = handler.name
    if "return" not in hints:
        message = f"handler `{name}` does not say what it returns"
        helps = ("annotate a model: `-> Summary`, or `-> bytes` for JSON that is ready",)
        context.problem("TR144", message, handler.place, helps=helps)
        return
    try:
        encoder(hints["return"])
    except Exception as error:  # Building a type runs the user's code.
        reason = str(error).split("\n")[0]
        message = f"what handler `{name}` returns cannot become JSON: {reason}"
        helps = ("return a pydantic model, a dataclass, a `msgspec.Struct` or `bytes`",)
        context.problem("TR144", message, handler.place, helps=helps)
