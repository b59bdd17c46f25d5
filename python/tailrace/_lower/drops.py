"""The order in which weak parts are left out under pressure.

The failure prevented: an order that names a part which is never left out, or none of this view, and
so protects nothing (req 9.1c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tailrace._lower.context import Context, at
from tailrace._lower.layout import reply_name
from tailrace._origin import Setting
from tailrace.errors import suggestion

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope

DROP_MAX: Final = (1 << 16) - 1


def lower_drops(context: Context, scope: ViewScope, rows: list[dict[str, Any]]) -> None:
    """Gives the view's lowered parts their places: the override's order, else what the code says.

    An override says the whole order: what the code says of places is then not in force.
    """
    found = context.overrides.find(("views", scope.view.name, "drop"))
    if found is None:
        for name, part in scope.parts.items():
            if part.drop is not None:
                setting = Setting(part.drop, "code", at(part.place, "drop"))
                subject = f"drop of part `{name}`"
                place = context.count(setting, subject, "TR094", 1, DROP_MAX)
                _put(rows, reply_name(scope, name), place)
        return
    weak = [row["name"] for row in rows if row["strength"] == "weak"]
    for place, name in enumerate(found.value, start=1):
        if name in found.value[: place - 1]:
            message = f"drop of {scope.label} names `{name}` twice"
            context.problem("TR094", message, found.place, helps=("name each part once",))
        elif name not in weak:
            message = f"drop of {scope.label} names `{name}`, which is no weak part of it"
            context.problem("TR094", message, found.place, helps=_weak_ones(name, weak))
        else:
            _put(rows, name, place)
            context.origins[f"views.{scope.view.name}.parts.{name}.drop"] = found.origin


def _put(rows: list[dict[str, Any]], name: str, place: int) -> None:
    for row in rows:
        if row["name"] == name:
            row["drop"] = place


def _weak_ones(name: str, weak: list[str]) -> tuple[str, ...]:
    if not weak:
        return ("take it out: only weak parts are left out, and there is none",)
    return suggestion(name, weak, "weak parts")
