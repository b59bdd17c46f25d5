"""A second reading of shapes, in Python, for tests only.

The failure prevented: a lowering that is consistent with itself and wrong. This checks a JSON value
against a blueprint's shapes as the plane is meant to, so that properties can compare it with
pydantic's own strict JSON mode. Formats and patterns are left out.
"""

from typing import Any


def accepts(shapes: list[dict[str, Any]], index: int, value: Any) -> bool:
    row = shapes[index]
    return CHECKS[row["kind"]](shapes, row, value)


def _integer(shapes: Any, row: dict[str, Any], value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and _limits(row, value)


def _number(shapes: Any, row: dict[str, Any], value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _limits(row, value)


def _limits(row: dict[str, Any], value: float) -> bool:
    limits = row.get("limits", {})
    return (
        value >= limits.get("ge", value)
        and value <= limits.get("le", value)
        and ("gt" not in limits or value > limits["gt"])
        and ("lt" not in limits or value < limits["lt"])
    )


def _length(row: dict[str, Any], value: Any) -> bool:
    return row.get("length_min", 0) <= len(value) <= row.get("length_max", len(value))


def _string(shapes: Any, row: dict[str, Any], value: Any) -> bool:
    return isinstance(value, str) and _length(row, value)


def _literal(shapes: Any, row: dict[str, Any], value: Any) -> bool:
    return any(type(one) is type(value) and one == value for one in row["values"])


def _array(shapes: Any, row: dict[str, Any], value: Any) -> bool:
    inside = isinstance(value, list) and all(accepts(shapes, row["items"], one) for one in value)
    return inside and _length(row, value)


def _tuple(shapes: Any, row: dict[str, Any], value: Any) -> bool:
    if not isinstance(value, list) or len(value) != len(row["items"]):
        return False
    return all(accepts(shapes, i, one) for i, one in zip(row["items"], value, strict=True))


def _dict(shapes: Any, row: dict[str, Any], value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all(accepts(shapes, row["values"], one) for one in value.values()) and _length(
        row, value
    )


def _object(shapes: Any, row: dict[str, Any], value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    known: set[str] = set()
    for field in row["fields"]:
        names = field.get("from") or [field["name"]]
        known.update(names)
        present = [name for name in names if name in value]
        if not present and field["required"]:
            return False
        if present and not accepts(shapes, field["shape"], value[present[0]]):
            return False
    return row["extra"] != "refuse" or set(value) <= known


def _tagged(shapes: Any, row: dict[str, Any], value: Any) -> bool:
    tag = value.get(row["tag"]) if isinstance(value, dict) else None
    return any(accepts(shapes, index, value) for name, index in row["variants"] if name == tag)


CHECKS: dict[str, Any] = {
    "any": lambda *_: True,
    "null": lambda _, __, value: value is None,
    "boolean": lambda _, __, value: isinstance(value, bool),
    "integer": _integer,
    "number": _number,
    "string": _string,
    "literal": _literal,
    "array": _array,
    "tuple": _tuple,
    "dict": _dict,
    "object": _object,
    "optional": lambda shapes, row, value: value is None or accepts(shapes, row["inner"], value),
    "union": lambda shapes, row, value: any(accepts(shapes, i, value) for i in row["variants"]),
    "tagged_union": _tagged,
}
