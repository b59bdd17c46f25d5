"""How a view depends on what its parts call: strong or weak.

The failure prevented: a dependency whose failure nobody decided about. A strong part's failure
fails the request; a weak part's failure degrades it, and so it must say what stands in its place
(req 8.1). Both return `Any`, so that `user: User = strong(...)` type-checks; what they hold is
read by the lowering only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tailrace._missing import MISSING
from tailrace._source import Place, caller
from tailrace.policies import Cache
from tailrace.typing import Duration
from tailrace.upstream import Call

EACH_MAX_DEFAULT: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class PartDeclaration:
    """A part as written."""

    strength: Literal["strong", "weak"]
    call: Call
    timeout: Duration | None
    default: Any
    each: str | None
    each_max: int | None
    when: str | None
    name: str | None
    unwrap: str | None
    merge: bool
    append: str | None
    cache: Cache | None
    otherwise: Call | None
    place: Place = field(repr=False)


def strong(
    call: Call,
    *,
    timeout: Duration | None = None,
    default: Any = MISSING,
    each: str | None = None,
    each_max: int | None = None,
    when: str | None = None,
    name: str | None = None,
    unwrap: str | None = None,
    merge: bool = False,
    append: str | None = None,
    cache: Cache | None = None,
) -> Any:
    """A part whose failure fails the request.

    `each="order.items"` makes one call per item of a list, at most `each_max` (default 64), with
    `{item.field}` in the templates; the part is then a list in the same order. `default` is the
    value when the upstream answers 204. `when="order.coupon"` makes the call only if that value is
    there and neither null nor false (`"not order.gift"`, `"order.kind == express"`); otherwise the
    part is its default or null, and nothing is degraded.

    In the reply the part is called `name` instead of its attribute. `unwrap="data.order"` takes the
    value from inside the answer; `merge=True` puts the object's fields into the reply itself;
    `append="items"` continues the list of another part with this one. `cache` replaces the
    upstream's.
    """
    return PartDeclaration(
        "strong",
        call,
        timeout,
        default,
        each,
        each_max,
        when,
        name,
        unwrap,
        merge,
        append,
        cache,
        None,
        caller(),
    )


def weak(
    call: Call,
    *,
    timeout: Duration | None = None,
    default: Any = MISSING,
    each: str | None = None,
    each_max: int | None = None,
    when: str | None = None,
    name: str | None = None,
    unwrap: str | None = None,
    merge: bool = False,
    append: str | None = None,
    cache: Cache | None = None,
    otherwise: Call | None = None,
) -> Any:
    """A part whose failure degrades the reply: it becomes `default`, or null where its type allows.

    Before that a kept answer stands in (`cache`, or the upstream's), then `otherwise`, a call of
    another upstream that answers in the same shape. The reply says which. With `each`, a failed
    item becomes null and the part is reported as degraded.
    """
    return PartDeclaration(
        "weak",
        call,
        timeout,
        default,
        each,
        each_max,
        when,
        name,
        unwrap,
        merge,
        append,
        cache,
        otherwise,
        caller(),
    )
