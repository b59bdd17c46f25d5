"""A view: one endpoint, the parts it needs and how they become a reply.

The failure prevented: an aggregation whose shape is spread over handler code. A view is a class
body of annotated declarations; `members()` reads it in declared order, base classes first, which
is the order of the reply. Attributes are never read at request time: the plane runs the blueprint.
Only the code of a `computed` field reads them, and finds the values of its own request there.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from tailrace._missing import MISSING
from tailrace._source import Place, caller
from tailrace.policies import Computed, Rate
from tailrace.typing import Duration, Method

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class View:
    """Base of every view class.

    An instance has the values of one request, for the code of its computed fields. A test makes one
    with what that code reads: `OrderView(order=Order(...), stock=[]).total`.
    """

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class ComputedDeclaration(Generic[T]):
    """A computed field as written; read from an instance it is the field's value."""

    def __init__(
        self, function: Callable[[Any], T], weak: bool, default: Any, place: Place
    ) -> None:
        self.function = function
        self.weak = weak
        self.default = default
        self.place = place

    @overload
    def __get__(self, view: None, owner: type[Any]) -> ComputedDeclaration[T]: ...
    @overload
    def __get__(self, view: object, owner: type[Any]) -> T: ...

    def __get__(self, view: object | None, owner: type[Any]) -> ComputedDeclaration[T] | T:
        return self if view is None else self.function(view)


@overload
def computed(function: Callable[[Any], T], /) -> ComputedDeclaration[T]: ...
@overload
def computed(
    *, weak: bool = False, default: Any = MISSING
) -> Callable[[Callable[[Any], T]], ComputedDeclaration[T]]: ...


def computed(
    function: Callable[[Any], Any] | None = None, /, *, weak: bool = False, default: Any = MISSING
) -> Any:
    """A field of the reply that the decorated method makes of the parts, which it reads as `self`.

    The method is plain Python: no arguments, not `async`, and its return annotation is what the
    reply has. All computed fields of a request are made together, in one entry of the interpreter,
    once the parts are there. Strong, the failure of its code fails the request (502); `weak=True`,
    the field becomes null, or `default`, which makes it weak by itself, and the reply is degraded.
    """
    place = caller()

    def declare(function: Callable[[Any], Any]) -> ComputedDeclaration[Any]:
        return ComputedDeclaration(function, weak or default is not MISSING, default, place)

    return declare if function is None else declare(function)


@dataclass(frozen=True, slots=True)
class Member:
    """One attribute of a view's class body."""

    name: str
    value: Any
    annotation: Any
    """The annotation as it stands: possibly text, or absent (`None` with `annotated` false)."""
    annotated: bool
    owner: type


@dataclass(frozen=True, slots=True, eq=False)
class ViewDeclaration:
    """A view as registered with a service."""

    cls: type
    path: str
    name: str
    deadline: Duration | None
    fanout: int | None
    extra_attempts: int | None
    rate: Rate | None
    priority: str | None
    allow_overcommit: str | None
    method: Method
    collection: str | None
    computed: Computed | None
    place: Place = field(repr=False)
    namespace: dict[str, Any] = field(repr=False)
    """Local names of the function the class was declared in, for its annotations."""

    def members(self) -> list[Member]:
        """Attributes in declared order; a subclass replaces in place what it declares again."""
        found: dict[str, Member] = {}
        if not isinstance(self.cls, type):
            return []  # A decorated function; the lowering says so.
        for owner in reversed(self.cls.__mro__):
            if owner in (object, View) or not issubclass(owner, View):
                continue
            annotations = inspect.get_annotations(owner)
            assigned = [name for name in owner.__dict__ if not _is_dunder(name)]
            bare = [name for name in annotations if name not in owner.__dict__]
            for name in assigned + bare:
                found[name] = Member(
                    name,
                    owner.__dict__.get(name),
                    annotations.get(name),
                    name in annotations,
                    owner,
                )
        return list(found.values())

    def resolve(self, member: Member) -> Any:
        """The annotation of `member` as a type; raises what its evaluation raises."""
        return self._evaluate(member, member.annotation)

    def result(self, member: Member) -> Any:
        """What the code of a computed field returns; raises what its evaluation raises.

        `KeyError` when it does not say.
        """
        annotations: dict[str, Any] = inspect.get_annotations(member.value.function)
        return self._evaluate(member, annotations["return"])

    def _evaluate(self, member: Member, annotation: Any) -> Any:
        from typing import get_type_hints

        module = sys.modules.get(member.owner.__module__)
        scope = dict(vars(module)) if module else {}
        holder = SimpleNamespace(__annotations__={member.name: annotation})
        hints = get_type_hints(holder, scope, self.namespace, include_extras=True)
        return hints[member.name]


def default_name(cls: type) -> str:
    """`OrderView` is the view `order`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
    return words.removesuffix("_view") or words


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
