"""The tail type-check, said where it stands in the code.

The failure prevented: a service that starts with a deadline it cannot keep. `_tail` finds what does
not fit; here it gets the lines of the view and of every number in the sum, wherever that came from
(code, file or environment), so that an override cannot break a promise in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tailrace._lower.context import Context, at
from tailrace._source import class_place
from tailrace._tail import check_tail as findings

if TYPE_CHECKING:
    from tailrace.handlers import HandlerDeclaration
    from tailrace.service import Service
    from tailrace.view import ViewDeclaration

REASON_MAX: Final = 200


def check_tail(context: Context, service: Service, blueprint: dict[str, Any]) -> None:
    """Reports what is refused; what is allowed or warned about is for `explain` and `serve`."""
    views = {view.name: view for view in service.views}
    for found in findings(blueprint):
        if found.verdict != "refused":
            continue
        view = views[found.view]
        context.problem(
            found.code,
            found.message,
            class_place(view.place, view.cls.__name__),
            notes=(*(_sourced(context, *row) for row in found.sums), found.why),
            helps=found.helps,
        )


def _sourced(context: Context, text: str, path: str) -> str:
    """A line of the sum with the place its number came from."""
    origin = context.origins.get(path)
    return f"{text} ({origin})" if origin else text


def lower_overcommit(context: Context, view: ViewDeclaration | HandlerDeclaration) -> str | None:
    """The recorded reason why the view may promise more than it can keep, if it has one."""
    name = "allow_overcommit"
    declared = getattr(view, name, None)  # A handler has no parts to add up.
    place, path = at(view.place, name), f"views.{view.name}.{name}"
    found = context.setting(("views", view.name, name), declared, None, place, path)
    if found.value is None:
        return None
    text = found.value.strip() if isinstance(found.value, str) else ""
    if not text or len(text) > REASON_MAX or not text.isprintable():
        message = f"allow_overcommit of view `{view.name}` is no reason: {found.value!r}"
        notes = ("it is shown wherever somebody asks why the limits do not add up",)
        helps = (f"write one line of at most {REASON_MAX} characters that says why it is right",)
        context.problem("TR116", message, found.place, notes=notes, helps=helps)
        return None
    return text
