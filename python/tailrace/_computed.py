"""Computed fields when a request comes: the code of a view, called with that request's values.

The failure prevented: a field whose code takes the request's other fields, or another request, with
it. Each request gets an instance of its own, whose attributes are made of the plane's JSON when
they are first read; whatever the code raises, `SystemExit` included, is that field's failure only,
and what it returns is checked against its annotation before the plane sees it.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tailrace._codec import Encode, decoder, encoder
from tailrace.view import ComputedDeclaration, ViewDeclaration

if TYPE_CHECKING:
    from types import CodeType

Result: TypeAlias = bytes | str
"""JSON, or the code of a reason."""

_VALUES: Final = "(values)"
"""Where an instance keeps what came: under a name that no attribute can have."""
_MISSING: Final = object()
log = logging.getLogger("tailrace")


class _Given:
    """A part, the body or a parameter; decoded once, when it is read."""

    __slots__ = ("_at", "_decode", "_name")

    def __init__(self, name: str, at: int, decode: Callable[[bytes], Any]) -> None:
        self._name = name
        self._at = at
        self._decode = decode

    def __get__(self, view: Any, owner: type[Any]) -> Any:
        if view is None:
            return self
        own = view.__dict__
        json = own[_VALUES][self._at]
        value = own[self._name] = None if json is None else self._decode(json)
        return value


class _Made:
    """A computed field; its code runs once, whoever reads it first."""

    __slots__ = ("_function", "_name")

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self._name = name
        self._function = function

    def __get__(self, view: Any, owner: type[Any]) -> Any:
        if view is None:
            return self
        value = view.__dict__[self._name] = self._function(view)
        return value


class Fields:
    """The computed fields of one view."""

    __slots__ = ("_class", "_fields", "codes", "name")

    def __init__(
        self,
        name: str,
        cls: type[Any],
        fields: tuple[tuple[str, Encode], ...],
        codes: set[CodeType],
    ) -> None:
        self.name = name
        self._class = cls
        self._fields = fields
        self.codes = codes
        """Where a stack shows one of them."""

    def make(self, values: list[bytes | None], request_id: str) -> list[Result]:
        """One result per field, in order. What the code sets of context variables ends with it."""
        return contextvars.copy_context().run(self._make, values, request_id)

    def _make(self, values: list[bytes | None], request_id: str) -> list[Result]:
        view = object.__new__(self._class)
        view.__dict__[_VALUES] = values
        results: list[Result] = []
        for name, encode in self._fields:
            value = _MISSING
            try:
                value = getattr(view, name)
                results.append(encode(value))
            except BaseException as error:
                raised = value is _MISSING
                results.append("computed_error" if raised else "computed_mismatch")
                what = "failed" if raised else f"returned {type(value).__name__}"
                log.error(
                    "computed field `%s.%s` %s (request %s)",
                    self.name,
                    name,
                    what,
                    request_id,
                    exc_info=error,
                )
        return results


def prepare(
    blueprint: Mapping[str, Any],
    declared: Sequence[ViewDeclaration],
    converter: Callable[[Any, str], Callable[[bytes], Any] | None],
) -> dict[int, Fields]:
    """The computed fields of a blueprint by the index of their view.

    `converter` gives what turns a parameter's text into its type; `None` leaves text as it is.
    """
    by_name = {one.name: one for one in declared}
    found = {}
    for view, row in enumerate(blueprint["views"]):
        if "computed" in row:
            found[view] = _prepare(row, by_name[row["name"]], blueprint["shapes"], converter)
    return found


def _prepare(
    row: Mapping[str, Any],
    declared: ViewDeclaration,
    shapes: Sequence[Any],
    converter: Callable[[Any, str], Callable[[bytes], Any] | None],
) -> Fields:
    from tailrace.dependencies import PartDeclaration

    members = {one.name: one for one in declared.members()}
    parts = [one for one in members.values() if isinstance(one.value, PartDeclaration)]
    # As the plane hands them over: parts, the body, parameters.
    readers = [(one.name, decoder(declared.resolve(one), own_names=True)) for one in parts]
    if "body" in row:
        name = row["body"]["name"]
        readers.append((name, decoder(declared.resolve(members[name]), own_names=True)))
    for parameter in row["parameters"]:
        name = parameter["name"]
        type_ = declared.resolve(members[name]) if name in members else str
        convert = converter(type_, shapes[parameter["shape"]]["kind"])
        readers.append((name, convert or bytes.decode))
    own: dict[str, Any] = {
        name: _Given(name, at, decode) for at, (name, decode) in enumerate(readers)
    }
    fields: list[tuple[str, Encode]] = []
    codes: set[CodeType] = set()
    for member in members.values():
        if isinstance(member.value, ComputedDeclaration):
            function = member.value.function
            own[member.name] = _Made(member.name, function)
            fields.append((member.name, encoder(declared.result(member))))
            codes.add(function.__code__)
    own |= {"__module__": declared.cls.__module__, "__doc__": declared.cls.__doc__}
    cls = type(declared.cls)(declared.cls.__name__, (declared.cls,), own)
    return Fields(declared.name, cls, tuple(fields), codes)
