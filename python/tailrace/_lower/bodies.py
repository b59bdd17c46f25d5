"""Bodies: that of a view's requests, and those its calls send.

The failure prevented: a document built by formatting text, in which a value can end a string and
begin another field; a body on a method that has none; a POST that is sent twice because nobody said
whether that is once. A body is structure here too: constants and the names of values.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from tailrace._lower.context import Context, at
from tailrace._missing import MISSING
from tailrace._source import Place, annotation, entry, inside, target
from tailrace.errors import suggestion
from tailrace.templates import Reference, TemplateError, parse
from tailrace.upstream import Call
from tailrace.view import Member

if TYPE_CHECKING:
    from tailrace._lower.calls import Site
    from tailrace._lower.views import ViewScope

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
WITH_BODY: Final = ("POST", "PUT", "PATCH")

Pieces = list[dict[str, Any]]


def check_method(context: Context, method: object, subject: str, place: Place) -> str:
    """The method in capitals; `GET` after reporting one that no view can answer."""
    if isinstance(method, str) and method.upper() in METHODS:
        return method.upper()
    message = f"{subject} cannot answer {method!r}"
    helps = suggestion(str(method).upper(), METHODS, "methods")
    context.problem("TR070", message, place, helps=helps)
    return "GET"


def claim_body(context: Context, scope: ViewScope, member: Member, type_: Any) -> None:
    """Takes `name: Model = body()` of a view."""
    place = target(member.value.place)
    if scope.body is not None:
        message = f"`{scope.body[0]}` and `{member.name}` are both the request's body"
        helps = ("one model holds all of it",)
        context.problem("TR073", message, place, helps=helps)
        return
    if member.name in scope.placeholders:
        message = f"body `{member.name}` is called like the parameter `{{{member.name}}}`"
        context.problem("TR025", message, place, helps=("rename one of them",))
    scope.body = (member.name, type_)
    scope.body_place = member.value.place


def lower_request_body(
    context: Context, scope: ViewScope, method: str, parameters: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """The blueprint's `body`, and its shape among those that templates read."""
    from tailrace._lower.views import MISSING_TYPE
    from tailrace._shapes import Trail

    forms = [row["name"] for row in parameters if row["in"] == "form"]
    reads = forms or ([] if scope.body is None else [scope.body[0]])
    if reads and method not in WITH_BODY:
        message = f"{scope.label} answers {method} and reads `{reads[0]}` from a body"
        say = 'say so: @service.view("...", method="POST")'
        helps = (say, "or read it from the query")
        context.problem("TR071", message, at(scope.view.place, "method"), helps=helps)
    if scope.body is None or scope.body_place is None:
        return None
    name, type_ = scope.body
    if forms:
        message = f"{scope.label} reads its body as JSON (`{name}`) and as a form (`{forms[0]}`)"
        one = ("take all from the form, or all from the model",)
        context.problem("TR073", message, target(scope.body_place), helps=one)
    if type_ is MISSING_TYPE:
        return None
    shape = context.walk.type(type_, Trail(name, annotation(scope.body_place)))
    scope.shapes[name] = shape
    return {"name": name, "shape": shape}


def lower_body(site: Site, call: Call) -> dict[str, Any]:
    """`body` and `idempotency_key` of a call."""
    lowered: dict[str, Any] = {}
    place = at(call.place, "json")
    if call.json is not MISSING and call.form is not None:
        message = f"part `{site.name}` sends JSON and a form"
        site.context.problem("TR073", message, place, helps=("a call has one body",))
    elif call.json is not MISSING:
        lowered["body"] = {"json": _merged(_document(site, call.json, place))}
    elif call.form is not None:
        pairs = []
        for key, value in call.form.items():
            where = entry(call.place, "form", key)
            pairs.append({"name": str(key), "value": site.template(value, where, "query")})
        lowered["body"] = {"form": pairs}
    if call.idempotency_key is not None:
        lowered["idempotency_key"] = _key(site, call)
    return lowered


def _key(site: Site, call: Call) -> Pieces:
    place = at(call.place, "idempotency_key")
    pieces = site.template(call.idempotency_key, place, "header")
    for piece in pieces:
        row = site.scope.parameters.get(piece.get("parameter", ""))
        if row is not None and not row["required"] and "default" not in row:
            message = f"the idempotency key reads `{row['name']}`, which may be absent"
            helps = ("make the parameter required: a call without key could be applied twice",)
            site.context.problem("TR076", message, place, helps=helps)
    sent = [*call.headers, *call.upstream.forward_headers]
    if any(isinstance(one, str) and one.lower() == "idempotency-key" for one in sent):
        message = f"part `{site.name}` would send two idempotency keys"
        helps = (
            "leave the header out of `headers` and `forward_headers`: read it with "
            'header("Idempotency-Key") and name it here',
        )
        site.context.problem("TR076", message, place, helps=helps)
    if pieces and all("text" in piece for piece in pieces):
        message = f"the idempotency key of part `{site.name}` is the same for every request"
        helps = ('name what makes the request one: "{order_id}", or a header parameter',)
        site.context.problem("TR076", message, place, helps=helps)
    return pieces


def _document(site: Site, value: object, place: Place) -> Pieces:
    """A JSON value as pieces of text and values."""
    if isinstance(value, str):
        return _text(site, value, place)
    if isinstance(value, dict):
        pieces: Pieces = [{"text": "{"}]
        for index, (key, one) in enumerate(value.items()):
            if not isinstance(key, str):
                helps = ("keys of a JSON object are text",)
                site.context.problem("TR072", f"{key!r} is no key", place, helps=helps)
                continue
            comma = "," if index else ""
            pieces += [{"text": comma + json.dumps(key) + ":"}, *_document(site, one, place)]
        return [*pieces, {"text": "}"}]
    if isinstance(value, (list, tuple)):
        pieces = [{"text": "["}]
        for index, one in enumerate(value):
            pieces += [*([{"text": ","}] if index else []), *_document(site, one, place)]
        return [*pieces, {"text": "]"}]
    finite = not isinstance(value, float) or math.isfinite(value)
    if value is None or (isinstance(value, (bool, int, float)) and finite):
        return [{"text": json.dumps(value)}]
    message = f"part `{site.name}`: {value!r} has no place in JSON"
    helps = ('use dicts, lists, text, numbers, booleans, None and templates like "{draft}"',)
    site.context.problem("TR072", message, place, helps=helps)
    return [{"text": "null"}]


def _text(site: Site, text: str, place: Place) -> Pieces:
    """A constant, one value as it is, or text with values in it."""
    try:
        fragments = parse(text)
    except TemplateError as error:
        spot = inside(place, text, error.start, error.end)
        site.context.problem("TR050", str(error), spot, helps=(error.hint,))
        return [{"text": "null"}]
    references = [one for one in fragments if isinstance(one, Reference)]
    if not references:
        return [{"text": json.dumps("".join(getattr(one, "text", "") for one in fragments))}]
    if len(fragments) == 1:
        spot = inside(place, text, references[0].start, references[0].end)
        piece = site.piece(references[0], spot, "body", whole=True)
        return [{"text": "null"} if piece is None else {"value": piece}]
    return [{"string": site.template(text, place, "body")}]


def _merged(pieces: Pieces) -> Pieces:
    """Neighbouring texts as one."""
    merged: Pieces = []
    for piece in pieces:
        if merged and "text" in piece and "text" in merged[-1]:
            merged[-1] = {"text": merged[-1]["text"] + piece["text"]}
        else:
            merged.append(piece)
    return merged
