"""How a view depends on what its parts call: strong or weak.

The failure prevented: a dependency whose failure nobody decided about. A strong part's failure
fails the request; a weak part's failure degrades it, and so it must say what stands in its place
(req 8.1). Both return `Any`, so that `user: User = strong(...)` type-checks; what they hold is
read by the lowering only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

from tailrace._source import Place, caller
from tailrace.typing import Duration
from tailrace.upstream import Call

EACH_MAX_DEFAULT: Final = 64


class Missing(Enum):
    """Says that no default was given, which `None` cannot say."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


@dataclass(frozen=True, slots=True, eq=False)
class PartDeclaration:
    """A part as written."""

    strength: Literal["strong", "weak"]
    call: Call
    timeout: Duration | None
    default: Any
    each: str | None
    each_max: int | None
    drop: int | None
    place: Place = field(repr=False)


def strong(
    call: Call,
    *,
    timeout: Duration | None = None,
    default: Any = MISSING,
    each: str | None = None,
    each_max: int | None = None,
) -> Any:
    """A part whose failure fails the request.

    `each="order.items"` makes one call per item of a list, at most `each_max` (default 64), with
    `{item.field}` in the templates; the part is then a list in the same order. `default` is the
    value when the upstream answers 204.
    """
    return PartDeclaration("strong", call, timeout, default, each, each_max, None, caller())


def weak(
    call: Call,
    *,
    timeout: Duration | None = None,
    default: Any = MISSING,
    each: str | None = None,
    each_max: int | None = None,
    drop: int | None = None,
) -> Any:
    """A part whose failure degrades the reply: it becomes `default`, or null where its type allows.

    With `each`, a failed item becomes null and the part is reported as degraded. Under pressure
    weak parts are left out in the order of `drop`, from 1; then those without it, the last one
    first.
    """
    return PartDeclaration("weak", call, timeout, default, each, each_max, drop, caller())
