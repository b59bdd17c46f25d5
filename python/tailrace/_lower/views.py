"""Views: routes, and what stands in a view's class body.

The failure prevented: two routes that match the same request, and class attributes that look like
parts but are none. A view's members are sorted into parameters and parts; everything else is named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from tailrace._lower.admission import lower_priority
from tailrace._lower.bodies import check_method, claim_body, lower_request_body
from tailrace._lower.computed import lower_computed
from tailrace._lower.context import Context, at
from tailrace._lower.drops import lower_drops
from tailrace._lower.graph import check_graph
from tailrace._lower.handlers import lower_handler, refuse_limit
from tailrace._lower.layout import check_reply
from tailrace._lower.parameters import lower_parameters
from tailrace._lower.parts import lower_part
from tailrace._lower.rate import lower_rate
from tailrace._lower.tail import lower_overcommit
from tailrace._lower.upstreams import environment_name
from tailrace._origin import Setting
from tailrace._shapes import type_name
from tailrace._source import Place, annotation, class_place, member_of, target
from tailrace.dependencies import PartDeclaration
from tailrace.handlers import HandlerDeclaration
from tailrace.parameters import BodyDeclaration, ParameterDeclaration
from tailrace.service import EXTRA_ATTEMPTS_DEFAULT, FANOUT_DEFAULT
from tailrace.upstream import Call
from tailrace.view import ComputedDeclaration, Member, View, ViewDeclaration

if TYPE_CHECKING:
    from tailrace.service import Service

PARTS_MAX = 64
COUNT_MAX = (1 << 16) - 1
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+|%[0-9A-Fa-f]{2}")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
MISSING_TYPE: Any = object()
Endpoint: TypeAlias = ViewDeclaration | HandlerDeclaration


@dataclass(slots=True)
class ViewScope:
    """What the steps of one view know about each other."""

    view: Endpoint
    deadline_ms: float
    placeholders: list[str] = field(default_factory=list)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    body: tuple[str, Any] | None = None
    """Name and type of the request's JSON body; its shape stands among those of the parts."""
    body_place: Place | None = None
    parts: dict[str, PartDeclaration] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, int] = field(default_factory=dict)
    """Shape of a part's whole value: with `each`, the list."""
    needs: dict[str, set[str]] = field(default_factory=dict)
    computed: list[tuple[Member, int]] = field(default_factory=list)
    """Computed fields, and how many parts are declared before each."""
    broken: set[str] = field(default_factory=set)
    """Members already reported: what names them is not reported again."""
    unsound: set[str] = field(default_factory=set)
    """Parts whose type is already reported: nothing is checked against it."""

    @property
    def label(self) -> str:
        return scope_label(self.view)


def scope_label(view: Endpoint) -> str:
    kind = "handler" if isinstance(view, HandlerDeclaration) else "view"
    return f"{kind} `{view.name}`"


def lower_views(context: Context, service: Service, reserved: set[str]) -> list[dict[str, Any]]:
    lowered: list[dict[str, Any]] = []
    names: dict[str, Place] = {}
    routes: dict[str, list[Endpoint]] = {}
    for view in service.endpoints:
        place = _place(view)
        if not isinstance(view.name, str) or not _NAME.fullmatch(view.name):
            helps = ("a letter, then letters, digits, `-` and `_`, at most 64",)
            message = f"{view.name!r} cannot be a view's name"
            context.problem("TR004", message, at(view.place, "name"), helps=helps)
            continue
        if environment_name(view.name) in names:
            message = f"two views are called `{view.name}`"
            notes = (f"the other one is declared at {names[environment_name(view.name)]}",)
            helps = (f'name it: @service.view("{view.path}", name="...")',)
            context.problem("TR006", message, place, notes=notes, helps=helps)
        names[environment_name(view.name)] = place
        _claim_route(context, view, routes)
        if not isinstance(view.path, str):
            continue
        lowered.append(_view(context, service, view, reserved))
    if not service.endpoints:
        message = f"service `{service.name}` has no views"
        helps = ('declare one: @service.view("/api/orders/{order_id}") above a `View` class',)
        context.problem("TR023", message, service.place, helps=helps)
    return lowered


def _place(view: Endpoint) -> Place:
    if isinstance(view, HandlerDeclaration):
        return view.place
    return class_place(view.place, view.cls.__name__)


def _view(context: Context, service: Service, view: Endpoint, reserved: set[str]) -> dict[str, Any]:
    deadline, subject = _limit(context, service, view, "deadline")
    known = context.duration(deadline, subject, fallback=0)
    fanout, subject = _limit(context, service, view, "fanout", FANOUT_DEFAULT)
    width = context.count(fanout, subject, "TR015", 1, COUNT_MAX)
    extra, subject = _limit(context, service, view, "extra_attempts", EXTRA_ATTEMPTS_DEFAULT)
    purse = context.count(extra, subject, "TR019", 0, COUNT_MAX)
    key = ("views", view.name)
    rate = lower_rate(context, key, scope_label(view), view.rate, (view.place, "rate"))
    priority = lower_priority(context, view)
    overcommit = lower_overcommit(context, view)
    scope = ViewScope(view, known)
    scope.placeholders = _PLACEHOLDER.findall(view.path)
    method = check_method(context, view.method, scope.label, at(view.place, "method"))
    row = {
        "name": view.name,
        "method": method,
        "path": view.path,
        "deadline_ms": known,
        "fanout": width,
        "extra_attempts": purse,
        **rate,
        "priority": priority,
    }
    if overcommit is not None:
        row["allow_overcommit"] = overcommit
    if isinstance(view, HandlerDeclaration):
        lower_drops(context, scope, [])
        return {**row, **lower_handler(context, scope, view)}
    refuse_limit(context, scope)
    parameters = _members(context, scope, reserved)
    lowered_parameters = lower_parameters(context, scope, parameters)
    scope.parameters = {row["name"]: row for row in lowered_parameters}
    _shapes_of_parts(context, scope)
    request_body = lower_request_body(context, scope, method, lowered_parameters)
    parts = [lower_part(context, scope, name) for name in scope.parts]
    check_graph(context, scope)
    collection = check_reply(context, scope, reserved)
    row["parameters"] = lowered_parameters
    if request_body is not None:
        row["body"] = request_body
    if collection is not None:
        row["collection"] = collection
    row["parts"] = [part for part in parts if part is not None]
    lower_drops(context, scope, row["parts"])
    computed = lower_computed(context, scope, reserved)
    if computed is not None:
        row["computed"] = computed
    return row


def _limit(
    context: Context, service: Service, view: Endpoint, name: str, default: Any = None
) -> tuple[Setting, str]:
    """A limit of the view, else of its service, and what an error calls it."""
    field_ = "deadline_ms" if name == "deadline" else name  # As the blueprint has it.
    shared = context.setting(
        ("service", name),
        getattr(service, name),
        default,
        at(service.place, name),
        f"service.{field_}",
    )
    path = f"views.{view.name}.{field_}"
    own = context.setting(
        ("views", view.name, name), getattr(view, name), None, at(view.place, name), path
    )
    if own.value is not None:
        return own, f"{name} of {scope_label(view)}"
    context.origins[path] = shared.origin
    return shared, f"{name} of service `{service.name}`"


def _members(
    context: Context, scope: ViewScope, reserved: set[str]
) -> list[tuple[Member, ParameterDeclaration, Any]]:
    view = scope.view
    parameters: list[tuple[Member, ParameterDeclaration, Any]] = []
    if not (isinstance(view.cls, type) and issubclass(view.cls, View)):
        message = f"`{view.cls.__name__}` is not a `View`"
        helps = (f"class {view.cls.__name__}(View):",)
        place = class_place(view.place, view.cls.__name__)
        context.problem("TR030", message, place, helps=helps)
        return []
    for member in view.members():
        value = member.value
        if isinstance(value, ParameterDeclaration):
            parameters.append((member, value, _type_of(context, scope, member, value.place)))
        elif isinstance(value, BodyDeclaration):
            claim_body(context, scope, member, _type_of(context, scope, member, value.place))
        elif isinstance(value, PartDeclaration):
            _part_member(context, scope, member, value, reserved)
        elif isinstance(value, ComputedDeclaration):
            scope.computed.append((member, len(scope.parts)))
        elif not member.name.startswith("_"):
            _refuse_member(context, scope, member)
    if len(scope.parts) > PARTS_MAX or not (scope.parts or scope.broken):
        place = class_place(view.place, view.cls.__name__)
        many = f"{scope.label} has {len(scope.parts)} parts; {PARTS_MAX} is the most"
        code, message = ("TR029", many) if scope.parts else ("TR023", f"{scope.label} has no parts")
        helps = ("split the view",) if scope.parts else ("name: Model = strong(upstream.get(...))",)
        context.problem(code, message, place, helps=helps)
    return parameters


def _part_member(
    context: Context, scope: ViewScope, member: Member, part: PartDeclaration, reserved: set[str]
) -> None:
    name = member.name
    if name in reserved and part.name is None and not part.merge and part.append is None:
        message = f"part `{name}` has the name of a field of the reply's envelope"
        helps = (
            "rename the part, or the field: Service(..., envelope={...: ...}) or "
            "`[envelope]` in tailrace.toml",
        )
        context.problem("TR024", message, target(part.place), helps=helps)
    if name in scope.placeholders:
        message = f"part `{name}` is called like the parameter `{{{name}}}` of the route"
        context.problem(
            "TR025",
            message,
            target(part.place),
            label="`{" + name + "}` in a template could mean either",
            helps=(f"rename the part or the placeholder: `{{{name}_id}}`",),
        )
        scope.broken.add(name)
        return
    if not isinstance(part.call, Call):
        message = f"part `{name}` is made of {type(part.call).__name__}, not of a call"
        helps = ('give it a call: strong(orders.get("/orders/{order_id}"))',)
        context.problem("TR100", message, at(part.place, "call", 0), helps=helps)
        scope.broken.add(name)
        return
    found = _type_of(context, scope, member, part.place)
    scope.parts[name] = part
    if found is not MISSING_TYPE:
        scope.types[name] = found


def _refuse_member(context: Context, scope: ViewScope, member: Member) -> None:
    scope.broken.add(member.name)
    place = member_of(scope.view.place, member.owner.__name__, member.name)
    bare = member.annotated and member.name not in member.owner.__dict__
    what = "has a type but no source" if bare else "is neither a part nor a parameter"
    message = f"`{member.name}` of {scope.label} {what}"
    kind = type_name(member.annotation) if member.annotated else "Model"
    helps = (
        f'say where it comes from: {member.name}: {kind} = strong(upstream.get("/..."))',
        "or start its name with `_` to keep it out of the view",
    )
    context.problem("TR027", message, place, helps=helps)


def _type_of(context: Context, scope: ViewScope, member: Member, place: Place) -> Any:
    if not member.annotated:
        message = f"`{member.name}` of {scope.label} has no type"
        helps = (f"annotate it: {member.name}: Model = ...",)
        context.problem("TR026", message, target(place), helps=helps)
        return MISSING_TYPE
    try:
        return scope.view.resolve(member)
    except Exception as error:  # An annotation is the user's code and may raise anything.
        message = f"the type of `{member.name}` cannot be read: {error}"
        helps = (
            "import it at run time, not under TYPE_CHECKING, and define it before the service",
        )
        context.problem("TR028", message, annotation(place), helps=helps)
        return MISSING_TYPE


def _shapes_of_parts(context: Context, scope: ViewScope) -> None:
    """Shapes first: a template may name a part declared further down."""
    from tailrace._shapes import Trail

    for name, part in scope.parts.items():
        if name in scope.types:
            before = len(context.problems)
            trail = Trail(name, annotation(part.place))
            scope.shapes[name] = context.walk.type(scope.types[name], trail)
            if len(context.problems) > before:
                scope.unsound.add(name)


def _claim_route(context: Context, view: Endpoint, routes: dict[str, list[Endpoint]]) -> None:
    place = at(view.place, "path", 0)
    reason, help_ = _route_problem(view.path)
    if reason:
        context.problem("TR020", f"route {view.path!r} {reason}", place, helps=(help_,))
        return
    names = _PLACEHOLDER.findall(view.path)
    again = next((name for name in names if names.count(name) > 1), None)
    if again:
        message = f"route `{view.path}` has the placeholder `{{{again}}}` twice"
        context.problem("TR022", message, place, helps=("give each its own name",))
    shape = _PLACEHOLDER.sub("{}", view.path)
    methods = routes.setdefault(shape, [])
    # One path has one set of placeholder names, whatever its methods.
    if other := next((one for one in methods if _clash(one, view)), None):
        message = f"route `{view.path}` of view `{view.name}` is taken"
        notes = (f"view `{other.name}` at {other.place} has `{other.path}`",)
        helps = ("names of placeholders do not tell routes apart; static segments do",)
        context.problem("TR021", message, place, notes=notes, helps=helps)
    methods.append(view)


def _clash(one: Endpoint, other: Endpoint) -> bool:
    return one.method == other.method or one.path != other.path


def _route_problem(path: object) -> tuple[str, str]:
    if not isinstance(path, str):
        return "is not text", 'a route is "/api/orders/{order_id}"'
    if not path.startswith("/"):
        return "does not start with `/`", f'did you mean "/{path.split("://")[-1]}"?'
    if "?" in path or "#" in path:
        return "has a query", "declare query parameters: `name: str = query()`"
    for segment in path[1:].split("/") if path != "/" else []:
        if "{" in segment or "}" in segment:
            if not _PLACEHOLDER.fullmatch(segment):
                return f"has the segment `{segment}`", "a placeholder is a whole segment: `{name}`"
        elif segment == "" and path.endswith("/") and "//" not in path:
            continue
        elif segment in ("", ".", "..") or _SEGMENT.sub("", segment):
            return f"has the segment `{segment}`", "write plain segments; encode others as %XX"
    return "", ""
