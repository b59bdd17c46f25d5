"""A view: one endpoint, the parts it needs and how they become a reply.

The failure prevented: an aggregation whose shape is spread over handler code. A view is a class
body of annotated declarations; `members()` reads it in declared order, base classes first, which
is the order of the reply. Attributes are never read at request time: the plane runs the blueprint.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from tailrace._source import Place
from tailrace.policies import Rate
from tailrace.typing import Duration, Method


class View:
    """Base of every view class."""


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
        from typing import get_type_hints

        module = sys.modules.get(member.owner.__module__)
        scope = dict(vars(module)) if module else {}
        holder = SimpleNamespace(__annotations__={member.name: member.annotation})
        hints = get_type_hints(holder, scope, self.namespace, include_extras=True)
        return hints[member.name]


def default_name(cls: type) -> str:
    """`OrderView` is the view `order`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
    return words.removesuffix("_view") or words


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
