"""Stand-ins: the call that is made when a weak part's own has failed.

The failure prevented: a second call that cannot help. Another upstream stands in, in the same
shape; asking the same one again is a retry that no budget knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace._lower.caches import check_caller
from tailrace._lower.calls import lower_call
from tailrace._lower.context import Context, at
from tailrace.upstream import Call

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope


def lower_otherwise(context: Context, scope: ViewScope, name: str) -> dict[str, Any]:
    """The key `otherwise` of a weak part: the call that stands in when its own has failed."""
    part = scope.parts[name]
    other, place = part.otherwise, at(part.place, "otherwise")
    if other is None:
        return {}

    def refuse(message: str, help_: str) -> dict[str, Any]:
        context.problem("TR036", message, place, helps=(help_,))
        return {}

    if not isinstance(other, Call):
        message = f"`otherwise` of part `{name}` is {other!r}, not a call"
        return refuse(message, 'give it a call: otherwise=spare.get("/users/{user_id}")')
    if other.method != "GET":
        message = f"`otherwise` of part `{name}` is a {other.method}"
        return refuse(message, "only a GET may stand in: nothing is changed by a fallback")
    if part.each is not None:
        message = f"part `{name}` has `each`, and its items have nothing that stands in for them"
        return refuse(message, "leave out `otherwise`: a failed item is null")
    if other.upstream is part.call.upstream:
        message = f"`otherwise` of part `{name}` asks `{other.upstream.name}` again"
        return refuse(message, "name another upstream; asking again is its `retry`")
    call = lower_call(context, scope, name, None, other)
    lowered = {"upstream": other.upstream.name, **call}
    subject = f"`otherwise` of part `{name}`"
    check_caller(context, scope, other, lowered, own=None, place=place, subject=subject)
    return {"otherwise": lowered}
