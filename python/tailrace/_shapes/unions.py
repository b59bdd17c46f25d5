"""Optional values, unions and tagged unions.

The failure prevented: a union that pydantic resolves by trying (smart mode) and the plane would have
to guess. Variants are told apart by their JSON type alone, one per type, or by a discriminator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace._shapes.walk import Handler, Trail, Walk

_JSON_TYPES = {
    "null": {"null"},
    "boolean": {"boolean"},
    "integer": {"number"},
    "number": {"number"},
    "string": {"string"},
    "array": {"array"},
    "tuple": {"array"},
    "dict": {"object"},
    "object": {"object"},
    "tagged_union": {"object"},
}


def _nullable(walk: Walk, schema: Any, at: Trail) -> int:
    return optional(walk, walk.shape(schema["schema"], at))


def optional(walk: Walk, inner: int) -> int:
    """`inner` or null; nothing is added where null fits already."""
    return inner if walk.shapes.nullable(inner) else walk.shapes.add("optional", inner=inner)


def _union(walk: Walk, schema: Any, at: Trail) -> int:
    choices = [one[0] if isinstance(one, tuple) else one for one in schema["choices"]]
    variants: list[int] = []
    null = False
    for choice in choices:
        index = walk.shape(choice, at)
        kind = walk.shapes.kind(index)
        null = null or kind in ("null", "optional")
        index = walk.shapes.unwrap(index)
        inner = walk.shapes.rows[index]["variants"] if kind == "union" else [index]
        variants += [one for one in inner if walk.shapes.kind(one) != "null"]
    variants = _merged(walk, list(dict.fromkeys(variants)))
    _refuse_ambiguous(walk, variants, at)
    index = variants[0] if len(variants) == 1 else walk.shapes.add("union", variants=variants)
    return optional(walk, index) if null else index


def _merged(walk: Walk, variants: list[int]) -> list[int]:
    """Literals become one set of values; an unlimited integer is part of an unlimited number."""
    rows = walk.shapes.rows
    literals = [one for one in variants if walk.shapes.kind(one) == "literal"]
    if len(literals) > 1:
        values = [value for one in literals for value in rows[one]["values"]]
        merged = walk.shapes.add("literal", values=_unique(values))
        variants = [one for one in variants if one not in literals] + [merged]
    number, integer = {"kind": "number"}, {"kind": "integer"}
    if any(rows[one] == number for one in variants):
        variants = [one for one in variants if rows[one] != integer]
    return variants


def _unique(values: list[Any]) -> list[Any]:
    """Without repeats; `1` and `true` are different JSON."""
    return list({(type(value), value): value for value in values}.values())


def _refuse_ambiguous(walk: Walk, variants: list[int], at: Trail) -> None:
    seen: dict[str, int] = {}
    for variant in variants:
        for json_type in sorted(_types(walk, variant)):
            if json_type in seen:
                message = f"`{at.text}`: two variants are both a JSON {json_type}"
                walk.refuse("TR122", message, at, *_help(json_type), label="which one is meant?")
                return
            seen[json_type] = variant


def _types(walk: Walk, index: int) -> set[str]:
    row = walk.shapes.rows[index]
    kind = row.get("kind", "object")
    if kind == "literal":
        names = {str: "string", bool: "boolean", int: "number"}
        return {names[type(value)] for value in row["values"]}
    if kind == "any":
        return {"null", "boolean", "number", "string", "array", "object"}
    return _JSON_TYPES[kind]


def _help(json_type: str) -> tuple[str, ...]:
    if json_type == "object":
        return (
            'tell them apart by a field: `Annotated[A | B, Field(discriminator="kind")]`',
            "or annotate it `Raw` to pass its JSON on unchecked",
        )
    return ("keep one variant per JSON type, or annotate it `Raw` to pass its JSON on unchecked",)


def _tagged(walk: Walk, schema: Any, at: Trail) -> int:
    tag = schema["discriminator"]
    if isinstance(tag, list) and len(tag) == 1 and len(tag[0]) == 1:
        tag = tag[0][0]
    if not isinstance(tag, str):
        message = f"`{at.text}` is told apart by Python code or by several names"
        return walk.refuse("TR120", message, at)
    variants: list[list[Any]] = []
    for value, choice in schema["choices"].items():
        text = getattr(value, "value", value)
        if not isinstance(text, str):
            message = f"`{at.text}`: the discriminator value {text!r} is not text"
            return walk.refuse("TR122", message, at, "use text for the discriminator's values")
        variants.append([text, walk.shape(choice, at)])
    return walk.shapes.add("tagged_union", tag=tag, variants=variants)


HANDLERS: dict[str, Handler] = {
    "nullable": _nullable,
    "union": _union,
    "tagged-union": _tagged,
}
