"""Text, numbers, literals and enums.

The failure prevented: a limit that pydantic would enforce and the plane would forget. A limit
without a counterpart in the blueprint is an error, and so is a pattern that Rust's `regex` cannot
run (look-around, back-references); pydantic's own engine is that crate, so it is asked.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace._shapes.walk import Handler, Trail, Walk

PATTERN_HELP = "patterns run in linear time: no look-around, no back-references, `\\z` for `\\Z`"
_NUMBER_LIMITS = ("ge", "gt", "le", "lt", "multiple_of")
_FORMATS = {
    "date": "date",
    "datetime": "date_time",
    "time": "time",
    "uuid": "uuid",
    "decimal": "decimal",
}
_HARMLESS = {
    "type",
    "metadata",
    "ref",
    "strict",
    "allow_inf_nan",
    "microseconds_precision",
    "serialization",
    "regex_engine",
    "coerce_numbers_to_str",
    "cls",
}


def _none(walk: Walk, schema: Any, at: Trail) -> int:
    return walk.shapes.add("null")


def _bool(walk: Walk, schema: Any, at: Trail) -> int:
    return walk.shapes.add("boolean")


def _int(walk: Walk, schema: Any, at: Trail) -> int:
    return _number(walk, "integer", schema, at)


def _float(walk: Walk, schema: Any, at: Trail) -> int:
    return _number(walk, "number", schema, at)


def _number(walk: Walk, kind: str, schema: Any, at: Trail) -> int:
    limits = {name: float(schema[name]) for name in _NUMBER_LIMITS if schema.get(name) is not None}
    refuse_unknown(walk, schema, at, _NUMBER_LIMITS)
    return walk.shapes.add(kind, limits=limits or None)


def _str(walk: Walk, schema: Any, at: Trail) -> int:
    refuse_unknown(walk, schema, at, ("min_length", "max_length", "pattern"))
    config = at.config
    for name in ("str_strip_whitespace", "str_to_lower", "str_to_upper"):
        if config.get(name):
            walk.refuse("TR123", f"`{at.text}`: `{name}` changes the text", at, *_limit_help(name))
    pattern = schema.get("pattern")
    return walk.shapes.add(
        "string",
        length_min=schema.get("min_length", config.get("str_min_length")),
        length_max=schema.get("max_length", config.get("str_max_length")),
        pattern=None if pattern is None else _pattern(walk, pattern, at),
    )


def _pattern(walk: Walk, pattern: str | re.Pattern[str], at: Trail) -> str:
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    text = pattern if isinstance(pattern, str) else _with_flags(pattern)
    try:
        SchemaValidator(core_schema.str_schema(pattern=text, regex_engine="rust-regex"))
    except SchemaError as error:
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        message = f"`{at.text}` has a pattern the plane cannot run"
        walk.refuse("TR044", message, at, PATTERN_HELP, label=reason.removeprefix("error: "))
    return text


def _with_flags(pattern: re.Pattern[str]) -> str:
    letters = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s", re.VERBOSE: "x"}
    flags = "".join(letter for flag, letter in letters.items() if pattern.flags & flag)
    return f"(?{flags}){pattern.pattern}" if flags else pattern.pattern


def _format(walk: Walk, schema: Any, at: Trail) -> int:
    refuse_unknown(walk, schema, at, ())
    return walk.shapes.add("string", format=_FORMATS[schema["type"]])


def _literal(walk: Walk, schema: Any, at: Trail) -> int:
    return scalar_values(walk, schema["expected"], at)


def _enum(walk: Walk, schema: Any, at: Trail) -> int:
    if "missing" in schema:
        return walk.refuse("TR120", f"`{at.text}`: `_missing_` of the enum is Python code", at)
    return scalar_values(walk, schema["members"], at)


def scalar_values(walk: Walk, values: list[Any], at: Trail) -> int:
    """A literal shape of plain JSON scalars; a null among them makes it optional."""
    plain = [value.value if isinstance(value, Enum) else value for value in values]
    odd = [value for value in plain if not isinstance(value, str | int | bool | None)]
    if odd:
        shown = f"{odd[0]!r} of type {type(odd[0]).__name__}"
        help_ = "literals and enum values are text, integers, booleans or null"
        return walk.refuse("TR121", f"`{at.text}` has the value {shown}", at, help_)
    index = walk.shapes.add("literal", values=[value for value in plain if value is not None])
    return walk.shapes.add("optional", inner=index) if None in plain else index


def refuse_unknown(walk: Walk, schema: Any, at: Trail, known: tuple[str, ...]) -> None:
    """Reports limits that have no counterpart in the blueprint."""
    for name, value in schema.items():
        if name not in known and name not in _HARMLESS and value not in (None, False):
            message = f"`{at.text}`: the plane cannot check `{name}`"
            walk.refuse("TR123", message, at, *_limit_help(name))


def _limit_help(name: str) -> tuple[str, ...]:
    return (
        f"remove `{name}`, or annotate the field `Raw` to pass its JSON on unchecked",
        "limits the plane knows: ge gt le lt multiple_of min_length max_length pattern",
    )


HANDLERS: dict[str, Handler] = {
    "none": _none,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _str,
    "literal": _literal,
    "enum": _enum,
    **dict.fromkeys(_FORMATS, _format),
}
