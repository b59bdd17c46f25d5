"""The tail type-check, said where it stands in the code.

The failure prevented: a service that starts with a deadline it cannot keep. `_tail` finds what does
not fit; here it gets the lines of the view and of every number in the sum, wherever that came from
(code, file or environment), so that an override cannot break a promise in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace._lower.context import Context
from tailrace._source import class_place
from tailrace._tail import check_tail as findings

if TYPE_CHECKING:
    from tailrace.service import Service


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
