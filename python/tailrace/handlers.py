"""A handler: one endpoint in Python, with the same limits, calls and measurements as a view.

The failure prevented: application logic that leaves the governed path to get its data. A handler is
an `async def` whose parameters are those of its route; what it awaits goes through the upstreams.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Final

from tailrace._source import Place
from tailrace.parameters import ParameterDeclaration
from tailrace.typing import Duration, Method
from tailrace.upstream import Upstream
from tailrace.view import Member

LIMIT_DEFAULT: Final = 128


@dataclass(frozen=True, slots=True, eq=False)
class HandlerDeclaration:
    """A handler as registered with a service."""

    function: Callable[..., Any]
    path: str
    name: str
    deadline: Duration | None
    fanout: int | None
    extra_attempts: int | None
    limit: int | None
    threads: int | None
    method: Method
    place: Place = field(repr=False)
    namespace: dict[str, Any] = field(repr=False)
    """Local names of the function it was declared in, for its annotations."""

    @property
    def collection(self) -> None:
        """A view's; what a handler returns may be a list by itself."""
        return

    @property
    def cls(self) -> Any:
        """What messages name, as for a view."""
        return self.function

    def members(self) -> list[Member]:
        """Its parameters, in order; the value is what was declared, or `None`."""
        found = []
        for one in inspect.signature(self.function).parameters.values():
            value = one.default if one.default is not inspect.Parameter.empty else None
            annotated = one.annotation is not inspect.Parameter.empty
            annotation = one.annotation if annotated else None
            found.append(Member(one.name, value, annotation, annotated, type(self)))
        return found

    def resolve(self, member: Member) -> Any:
        """The annotation of a parameter as a type; raises what its evaluation raises."""
        return self.hints()[member.name]

    def hints(self) -> dict[str, Any]:
        """Types of the parameters and, as `return`, of the result."""
        from typing import get_type_hints

        from tailrace.scope import Scope

        module = sys.modules.get(self.function.__module__)
        names = {"Scope": Scope, **(vars(module) if module else {})}
        return get_type_hints(self.function, names, self.namespace, include_extras=True)

    def upstreams(self) -> Iterator[Upstream]:
        """Upstreams that the function can reach: in its module, or around it."""
        function = inspect.unwrap(self.function)
        if not isinstance(function, FunctionType):
            return
        reach = [*function.__globals__.values()]
        for cell in function.__closure__ or ():
            try:
                reach.append(cell.cell_contents)
            except ValueError:
                continue  # Not assigned yet.
        yield from (one for one in reach if isinstance(one, Upstream))


def declared(member: Member) -> ParameterDeclaration | None:
    """What stands behind the `=` of a parameter, when it is a declaration."""
    return member.value if isinstance(member.value, ParameterDeclaration) else None
