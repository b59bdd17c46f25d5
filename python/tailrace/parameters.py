"""Parameters of a view: what a request may say, with type and limits.

The failure prevented: text from outside that reaches an upstream unchecked. A parameter has a
scalar type and limits, checked by the plane before any call starts; one that does not fit is a 400
that names it. A path placeholder without a declaration is a string of 1 to 256 characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tailrace._missing import MISSING
from tailrace._source import Place, caller


@dataclass(frozen=True, slots=True, eq=False)
class ParameterDeclaration:
    """A parameter as written; `constraints` holds only what was given."""

    location: Literal["path", "query", "header", "form"]
    wire_name: str | None
    default: Any
    constraints: Mapping[str, Any]
    place: Place = field(repr=False)


def _given(**constraints: Any) -> dict[str, Any]:
    return {name: value for name, value in constraints.items() if value is not None}


def path(
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | re.Pattern[str] | None = None,
) -> Any:
    """Type and limits of a `{placeholder}` of the view's route."""
    limits = _given(
        ge=ge, gt=gt, le=le, lt=lt, min_length=min_length, max_length=max_length, pattern=pattern
    )
    return ParameterDeclaration("path", None, MISSING, limits, caller())


def query(
    *,
    default: Any = MISSING,
    alias: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | re.Pattern[str] | None = None,
) -> Any:
    """A query parameter; `alias` is its key on the wire when that differs from the attribute."""
    limits = _given(
        ge=ge, gt=gt, le=le, lt=lt, min_length=min_length, max_length=max_length, pattern=pattern
    )
    return ParameterDeclaration("query", alias, default, limits, caller())


def header(
    name: str | None = None,
    *,
    default: Any = MISSING,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | re.Pattern[str] | None = None,
) -> Any:
    """A request header; without `name`, the attribute's with `-` for `_`."""
    limits = _given(
        ge=ge, gt=gt, le=le, lt=lt, min_length=min_length, max_length=max_length, pattern=pattern
    )
    return ParameterDeclaration("header", name, default, limits, caller())


def form(
    *,
    default: Any = MISSING,
    alias: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | re.Pattern[str] | None = None,
) -> Any:
    """A field of an urlencoded form in the request's body; `alias` is its name on the wire."""
    limits = _given(
        ge=ge, gt=gt, le=le, lt=lt, min_length=min_length, max_length=max_length, pattern=pattern
    )
    return ParameterDeclaration("form", alias, default, limits, caller())


@dataclass(frozen=True, slots=True, eq=False)
class BodyDeclaration:
    """The request's JSON body as written."""

    place: Place = field(repr=False)


def body() -> Any:
    """The JSON body of a POST, PUT or PATCH, checked against its model before any call starts.

    Its fields stand in templates like those of a part: `{draft.user_id}`; undeclared ones are
    dropped.
    """
    return BodyDeclaration(caller())
