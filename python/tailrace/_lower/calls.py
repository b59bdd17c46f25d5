"""The templates of one call: path, query, headers.

The failure prevented: a path that was formatted in Python (an f-string leaves `//` or `?` behind),
a name that nothing declares, literal text that would break the request line (RELIABILITY S07).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from tailrace._lower.bodies import lower_body
from tailrace._lower.caches import TRACE
from tailrace._lower.context import Context, at
from tailrace._lower.fields import descend, scalar
from tailrace._lower.layout import reply_name
from tailrace._lower.upstreams import OWN, check_header
from tailrace._source import Place, entry, inside
from tailrace.errors import suggestion
from tailrace.templates import Reference, TemplateError, parse

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope
    from tailrace.upstream import Call

Where = Literal["path", "query", "header", "body"]
_PATH_TEXT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_HEADER_TEXT = re.compile(r"[\x20-\x7e]*")


def lower_call(
    context: Context, scope: ViewScope, name: str, item: int | None, other: Call | None = None
) -> dict[str, Any]:
    """`path`, `query` and `headers` of the part `name`, or of the call that stands in for it.

    `item` is the shape of `{item}`.
    """
    call = other or scope.parts[name].call
    site = Site(context, scope, name, item)
    place = at(call.place, "path", 0)
    lowered: dict[str, Any] = {"path": []}
    if _path_fits(context, call.path, place):
        lowered["path"] = site.template(call.path, place, "path")
    query = []
    for key, value in call.query.items():
        place = entry(call.place, "query", key)
        if not isinstance(key, str) or not key:
            message = f"part `{name}`: {key!r} is no query key"
            context.problem("TR050", message, place, helps=("a key is text",))
            continue
        query.append({"name": key, "value": site.template(value, place, "query")})
    headers = []
    for key, value in call.headers.items():
        place = entry(call.place, "headers", key)
        if check_header(context, key, f"part `{name}`", place, OWN | TRACE):
            pieces = site.template(value, place, "header")
            headers.append({"name": key.lower(), "value": pieces})
    if query:
        lowered["query"] = query
    if headers:
        lowered["headers"] = headers
    lowered.update(lower_body(site, call))
    return lowered


class Site:
    """Where a template stands: which names it may use."""

    def __init__(self, context: Context, scope: ViewScope, name: str, item: int | None) -> None:
        self.context = context
        self.scope = scope
        self.name = name
        self.item = item

    def template(self, text: object, place: Place, where: Where) -> list[dict[str, Any]]:
        if not isinstance(text, str):
            message = f"part `{self.name}`: {text!r} is no template"
            helps = (f'templates are text: "{text}"',)
            self.context.problem("TR050", message, place, helps=helps)
            return []
        try:
            fragments = parse(text)
        except TemplateError as error:
            spot = inside(place, text, error.start, error.end)
            self.context.problem("TR050", str(error), spot, helps=(error.hint,))
            return []
        pieces: list[dict[str, Any]] = []
        for fragment in fragments:
            spot = inside(place, text, fragment.start, fragment.end)
            if isinstance(fragment, Reference):
                piece = self.piece(fragment, spot, where)
            else:
                piece = self._text(fragment.text, spot, where)
            if piece is not None:
                pieces.append(piece)
        return pieces

    def _text(self, text: str, place: Place, where: Where) -> dict[str, Any] | None:
        if where == "query":
            return {"text": quote(text, safe="")}
        if where == "body":
            return {"text": text}
        legal = _PATH_TEXT if where == "path" else _HEADER_TEXT
        if legal.fullmatch(text):
            return {"text": text}
        odd = next(char for char in text if not legal.fullmatch(char))
        encoded = quote(odd)
        helps = (f"write it encoded: `{encoded}`",) if where == "path" else ("use printable ASCII",)
        message = f"part `{self.name}`: {odd!r} cannot stand in a {where}"
        self.context.problem("TR059", message, place, helps=helps)
        return None

    def piece(
        self, reference: Reference, place: Place, where: Where, *, whole: bool = False
    ) -> dict[str, Any] | None:
        """What a reference names; `whole` allows lists and objects as well."""
        first, *fields = reference.names
        if first == "item" and self.scope.parts[self.name].each is not None:
            if self.item is not None:
                follow = descend if whole else scalar
                follow(self.context, self.item, ["item"], fields, place)
            return {"item": fields}
        if first in self.scope.parameters:
            return self._parameter(first, fields, place, where)
        if first in self.scope.parts:
            return self._part(first, fields, place, whole)
        if self.scope.body is not None and first == self.scope.body[0]:
            return self._field(first, fields, place, whole)
        if first not in self.scope.broken:
            self._unknown(first, place)
        return None

    def _parameter(
        self, name: str, fields: list[str], place: Place, where: Where
    ) -> dict[str, Any] | None:
        row = self.scope.parameters[name]
        if fields:
            message = f"parameter `{name}` is one value and has no field `{fields[0]}`"
            self.context.problem("TR052", message, place, helps=(f"write `{{{name}}}`",))
            return None
        if where == "path" and not row["required"] and "default" not in row:
            message = f"parameter `{name}` may be absent, and a path needs a value"
            helps = (f"give `{name}` a default, or put it in the query",)
            self.context.problem("TR058", message, place, helps=helps)
        return {"parameter": name}

    def _part(
        self, name: str, fields: list[str], place: Place, whole: bool
    ) -> dict[str, Any] | None:
        if name == self.name:
            message = f"part `{name}` reads itself"
            helps = ("a call can only read parameters and other parts",)
            self.context.problem("TR056", message, place, helps=helps)
            return None
        self.scope.needs[self.name].add(name)
        return self._field(name, fields, place, whole)

    def _field(self, name: str, fields: list[str], place: Place, whole: bool) -> dict[str, Any]:
        if name in self.scope.shapes:
            follow = descend if whole else scalar
            follow(self.context, self.scope.shapes[name], [name], fields, place)
        return {"part": {"name": reply_name(self.scope, name), "field": fields}}

    def _unknown(self, name: str, place: Place) -> None:
        helps: tuple[str, ...]
        if name == "item":
            message = f"part `{self.name}` has no `each`, so there is no `{{item}}`"
            helps = ('name the list: each="order.items"',)
            self.context.problem("TR060", message, place, helps=helps)
            return
        known = [*self.scope.parameters, *(one for one in self.scope.parts if one != self.name)]
        known += [] if self.scope.body is None else [self.scope.body[0]]
        if self.scope.parts[self.name].each is not None:
            known.append("item")
        message = f"`{name}` is neither a parameter nor a part of {self.scope.label}"
        helps = suggestion(name, known, "names")
        self.context.problem("TR051", message, place, helps=helps)


def _path_fits(context: Context, path: object, place: Place) -> bool:
    helps: tuple[str, ...]
    if not isinstance(path, str):
        helps = ('a path is a template: "/orders/{order_id}"',)
        context.problem("TR050", f"{path!r} is no path", place, helps=helps)
        return False
    if not path.startswith("/"):
        message = f"path {path!r} does not start with `/`"
        tail = "/" + path.split("://")[-1].partition("/")[2] if "://" in path else "/" + path
        where = "the address belongs to the Upstream; " if "://" in path else ""
        context.problem("TR055", message, place, helps=(f'{where}did you mean "{tail}"?',))
        return False
    bare = re.sub(r"\{[^}]*\}", "x", path)
    formatted = "write the name in braces and leave out the `f`: the plane puts the value in"
    if "?" in bare or "#" in bare:
        message = f"path {path!r} has a query"
        helps = ('give it apart: .get("/path", query={"name": "{parameter}"})', formatted)
        context.problem("TR054", message, place, helps=helps)
        return False
    segments = bare[1:].removesuffix("/").split("/")
    if bare != "/" and any(segment in ("", ".", "..") for segment in segments):
        message = f"path {path!r} has an empty or dot segment"
        context.problem("TR054", message, place, label="was it formatted?", helps=(formatted,))
        return False
    return True
