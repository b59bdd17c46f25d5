"""Lists, sets, tuples and dicts.

The failure prevented: a container whose items nobody checks, or whose keys Python would convert.
JSON has arrays and string keys only; sets are arrays (repeats pass as they came).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace._shapes.scalars import refuse_unknown

if TYPE_CHECKING:
    from tailrace._shapes.walk import Handler, Trail, Walk

_LENGTHS = ("min_length", "max_length")
_PLAIN: dict[str, Any] = {"type": "any"}


def _array(walk: Walk, schema: Any, at: Trail) -> int:
    refuse_unknown(walk, schema, at, (*_LENGTHS, "items_schema", "fail_fast"))
    items = walk.shape(schema.get("items_schema", _PLAIN), at.items())
    return _sized(walk, schema, items)


def _sized(walk: Walk, schema: Any, items: int) -> int:
    return walk.shapes.add(
        "array",
        items=items,
        length_min=schema.get("min_length"),
        length_max=schema.get("max_length"),
    )


def _tuple(walk: Walk, schema: Any, at: Trail) -> int:
    variadic = schema.get("variadic_item_index")
    inner = schema["items_schema"]
    if variadic is not None:
        if len(inner) != 1:
            message = f"`{at.text}` mixes fixed and repeated tuple items"
            return walk.refuse("TR121", message, at, "use `list[...]` or a tuple of fixed length")
        return _sized(walk, schema, walk.shape(inner[0], at.items()))
    refuse_unknown(walk, schema, at, ("items_schema",))
    items = [walk.shape(item, at.items(f"[{n}]")) for n, item in enumerate(inner)]
    return walk.shapes.add("tuple", items=items)


def _named_tuple(walk: Walk, schema: Any, at: Trail) -> int:
    return _positions(walk, schema["fields"], at.into(schema["cls"], schema.get("config")))


def _call(walk: Walk, schema: Any, at: Trail) -> int:
    """How pydantic before 2.14 writes a named tuple; any other call is Python code."""
    cls = schema["function"]
    if not (isinstance(cls, type) and issubclass(cls, tuple)):
        return walk.refuse("TR120", f"`{at.text}` is built by Python code", at)
    return _positions(walk, schema["arguments_schema"]["arguments_schema"], at.into(cls, None))


def _positions(walk: Walk, fields: Any, at: Trail) -> int:
    items = []
    for field in fields:
        here = at.at(field["name"])
        if field["schema"]["type"] == "default":
            message = f"`{here.text}`: a JSON array has no optional positions"
            walk.refuse("TR121", message, here, "use a dataclass or a model for optional fields")
            continue
        items.append(walk.shape(field["schema"], here))
    return walk.shapes.add("tuple", items=items)


def _dict(walk: Walk, schema: Any, at: Trail) -> int:
    refuse_unknown(walk, schema, at, (*_LENGTHS, "keys_schema", "values_schema", "fail_fast"))
    keys = schema.get("keys_schema", _PLAIN)
    plain = set(keys) <= {"type", "metadata", "strict"} and keys["type"] in ("str", "any")
    if not plain:
        message = f"`{at.text}`: keys of a JSON object are plain text"
        walk.refuse("TR121", message, at.items("{}"), "use `dict[str, ...]`")
    return walk.shapes.add(
        "dict",
        values=walk.shape(schema.get("values_schema", _PLAIN), at.items("{}")),
        length_min=schema.get("min_length"),
        length_max=schema.get("max_length"),
    )


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("list", "set", "frozenset", "generator"), _array),
    "tuple": _tuple,
    "named-tuple": _named_tuple,
    "call": _call,
    "dict": _dict,
}
