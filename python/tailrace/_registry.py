"""Calls of Python code, registered with the plane once per upstream, path and model.

The failure prevented: a path that was formatted in Python, which lets a value leave its segment
(RELIABILITY S07) and makes a new call of every request. A call is lowered like a view's part, by
the same rules and with the same messages; what is registered is found again by identity.

A model that the plane cannot check whole is passed on unchecked: Python validates it anyway.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tailrace._codec import Decode, decoder, is_struct, text, to_json
from tailrace._missing import MISSING
from tailrace._source import Place, frame_place
from tailrace.bound import NOTHING, BoundCall
from tailrace.errors import DeclarationError, Problem

_VALUE_LIKE = re.compile(r"\d+|[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_JSON: Final = "tailrace_json"
_DAY_MS: Final = 86_400_000.0
_FORMATTED: Final = (
    'write the name in braces and give the value beside it: get("/orders/{id}", Order, id=order_id)'
)
_UPSTREAMS: Final = "it is said once, of the upstream, and holds for calls of Python code too"
_ELSEWHERE: Final = {
    "cache": _UPSTREAMS,
    "retry": _UPSTREAMS,
    "hedge": _UPSTREAMS,
    "default": "a failure gives it when the call is weak: scope.weak(call, default=...)",
    "otherwise": "only a part of a view has it; code catches CallFailed and asks another upstream",
    "each": "only a part of a view has it; code gives its calls together: scope.all(*calls)",
    "when": "only a part of a view has it; code decides by itself whether to call",
}
"""What parts of views take, asked of a call."""


class Registers(Protocol):
    """The plane's end of it."""

    def register(self, blueprint: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class Registered:
    """A call the plane knows by its number."""

    number: int
    names: tuple[str, ...]
    decode: Decode
    sends_json: bool

    def values(self, call: BoundCall[Any]) -> list[bytes | None]:
        """The values in the plane's order; a JSON body comes last."""
        given = call.values
        try:
            found = [text(given[name]) for name in self.names]
        except KeyError:
            _names(call, _user_place())  # As many as there are names, and not the same.
            raise
        return [*found, to_json(call.asked.json)] if self.sends_json else found


class Registry:
    """The calls of one bridge. `upstreams` are their rows in its blueprint, by name."""

    def __init__(
        self,
        bridge: Registers,
        upstreams: Mapping[str, dict[str, Any]],
        unknown: Callable[[str], str],
    ) -> None:
        self._bridge = bridge
        self._upstreams = upstreams
        self._unknown = unknown
        self._known: dict[Any, Registered] = {}

    def find(self, call: BoundCall[Any]) -> Registered:
        """The number of `call`; the first of its kind is checked and registered."""
        key: Any = (call.upstream, call.path, call.model)
        if call.asked is not NOTHING or call.timeout is not None or call.method != "GET":
            key = (*key, call.method, call.timeout, *call.asked.key())
        found = self._known.get(key)
        if found is None:
            found = self._register(call)
            self._known[key] = found
        elif len(found.names) != len(call.values):
            _names(call, _user_place())  # Says what is missing, or more than there is.
        return found

    def _register(self, call: BoundCall[Any]) -> Registered:
        place = _user_place()
        row = self._upstreams.get(call.upstream.name)
        if row is None:
            message = f"upstream `{call.upstream.name}` is not known here"
            raise _wrong(message, place, self._unknown(call.upstream.name))
        names = _names(call, place)
        blueprint = _lowered(call, row, names, place)
        source = json.dumps(blueprint, separators=(",", ":"), ensure_ascii=False).encode()
        number = self._bridge.register(source)
        return Registered(number, names, decoder(call.model), call.asked.json is not MISSING)


def _names(call: BoundCall[Any], place: Place) -> tuple[str, ...]:
    """The names of the templates, each with a value; anything else is refused."""
    from tailrace.templates import TemplateError, references

    if not isinstance(call.path, str):
        raise _wrong(f"{call.path!r} is no path", place, 'a path is a template: "/orders/{id}"')
    texts = [call.path, *call.asked.templates()]
    try:
        found = {one.names[0] for text_ in texts for one in references(text_)}
        in_path = {one.names[0] for one in references(call.path)}
    except TemplateError as error:
        raise _wrong(str(error), place, error.hint, code="TR050") from None
    if missing := sorted(found - call.values.keys()):
        name = missing[0]
        message = f"{call!r} gives no value for `{{{name}}}`"
        raise _wrong(
            message, place, f"add it: {call.method.lower()}({call.path!r}, ..., {name}=...)"
        )
    if unused := sorted(call.values.keys() - found):
        message = f"{call!r} gives `{unused[0]}`, which no template names"
        raise _wrong(message, place, _ELSEWHERE.get(unused[0], _FORMATTED))
    absent = [name for name in sorted(in_path) if call.values[name] is None]
    if absent:
        message = f"`{absent[0]}` is None, and a path needs a value"
        raise _wrong(message, place, "decide before the call what to ask for")
    _refuse_formatted(call, place)
    return tuple(sorted(found))


def _refuse_formatted(call: BoundCall[Any], place: Place) -> None:
    """What an f-string leaves behind."""
    for mark in ("?", "#", "%"):
        if mark in call.path:
            message = f"path {call.path!r} has a `{mark}`"
            query = 'queries are given apart: get("/orders", ..., query={"user": "{user_id}"})'
            raise _wrong(message, place, query if mark == "?" else _FORMATTED)
    segments = call.path.split("/")
    odd = next((segment for segment in segments if _VALUE_LIKE.fullmatch(segment)), None)
    if odd is not None:
        message = f"segment `{odd}` of {call.path!r} looks like a value"
        raise _wrong(message, place, _FORMATTED)


def _lowered(
    call: BoundCall[Any], upstream: dict[str, Any], names: tuple[str, ...], place: Place
) -> dict[str, Any]:
    """The call as the only part of a blueprint's only view."""
    from tailrace._lower.context import Context
    from tailrace._lower.parts import lower_part
    from tailrace._lower.service import FORMAT_VERSION
    from tailrace._lower.views import ViewScope
    from tailrace._origin import Overrides
    from tailrace.dependencies import strong
    from tailrace.upstream import Call
    from tailrace.view import View, ViewDeclaration

    context = Context(Overrides())
    view = ViewDeclaration(
        cls=View,
        path="/",
        name="call",
        deadline=None,
        fanout=None,
        extra_attempts=None,
        rate=None,
        priority=None,
        allow_overcommit=None,
        method="GET",
        collection=None,
        computed=None,
        place=place,
        namespace={},
    )
    scope = ViewScope(view, 0.0)
    shape = context.shapes.add("string")
    scope.parameters = {
        name: {"name": name, "in": "query", "shape": shape, "required": True} for name in names
    }
    sent = call.asked
    document: Any = MISSING
    if sent.json is not MISSING:
        # A number is put into a document as it stands, and so is any JSON that is ready.
        ready = context.shapes.add("number")
        scope.parameters[_JSON] = {"name": _JSON, "in": "query", "shape": ready, "required": True}
        document = f"{{{_JSON}}}"
    asked = Call(
        call.upstream,
        call.path,
        dict(sent.query or {}),
        dict(sent.headers or {}),
        place,
        method=call.method,
        json=document,
        form=None if sent.form is None else dict(sent.form),
        idempotency_key=sent.idempotency_key,
    )
    scope.parts["call"] = strong(asked, timeout=call.timeout)
    scope.types["call"] = call.model
    scope.shapes["call"] = _shape(call.model, context, place)
    part = lower_part(context, scope, "call")
    if context.problems or part is None:
        raise DeclarationError(context.problems)
    rows = list(scope.parameters.values())
    row = {"name": "call", "method": "GET", "path": "/", "deadline_ms": _DAY_MS, "fanout": 1}
    return {
        "format_version": FORMAT_VERSION,
        "service": "calls",
        "upstreams": [upstream],
        "views": [{**row, "parameters": rows, "parts": [part]}],
        "shapes": [_as_accepted(shape) for shape in context.shapes.compact([*rows, part])],
    }


def _as_accepted(shape: dict[str, Any]) -> dict[str, Any]:
    """An object whose fields keep a name they are accepted under.

    A reply has the field's own name; here a model is made of what comes, and looks for its alias.
    """
    if shape["kind"] != "object":
        return shape
    fields = [
        {**field, "name": field["from"][0]} if field.get("from") else field
        for field in shape["fields"]
    ]
    return {**shape, "fields": fields}


def _shape(model: Any, context: Any, place: Place) -> int:
    from tailrace._shapes import Trail, type_name

    unchecked: int = context.shapes.add("any")
    if model is bytes or is_struct(model):
        return unchecked
    before = len(context.problems)
    shape: int = context.walk.type(model, Trail(type_name(model), place))
    found = context.problems[before:]
    if [problem for problem in found if problem.code == "TR124"]:
        return shape  # Not a type at all: Python could not make one either.
    if found:
        del context.problems[before:]
        return unchecked
    return shape


def _user_place() -> Place:
    """The nearest line that is not this library's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("tailrace."):
        frame = frame.f_back
    return frame_place(frame)


def _wrong(message: str, place: Place, help_: str, code: str = "TR142") -> DeclarationError:
    return DeclarationError(Problem(code, message, place, helps=(help_,)))
