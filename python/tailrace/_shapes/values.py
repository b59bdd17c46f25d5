"""Defaults as JSON.

The failure prevented: a default that Python would build anew per request, or that is no JSON. A
default is evaluated once, at boot, and written with the names the reply uses.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace._shapes.walk import Trail, Walk

NO_DEFAULT: Any = object()


def to_json(value: Any) -> Any:
    """`value` as plain JSON data; raises `ValueError` when it has none."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        plain = to_jsonable_python(value, by_alias=False)
    except (PydanticSerializationError, ValueError, TypeError) as error:
        raise ValueError(str(error)) from error
    return _finite(plain)


def default_json(walk: Walk, schema: Any, at: Trail) -> Any:
    """The default of a field, or `NO_DEFAULT` after reporting why it has none."""
    factory = schema.get("default_factory")
    if factory is not None and schema.get("default_factory_takes_data"):
        walk.refuse("TR120", f"`{at.text}` computes its default from other fields", at)
        return NO_DEFAULT
    if factory is None and "default" not in schema:
        return NO_DEFAULT
    try:
        return to_json(factory() if factory is not None else schema["default"])
    except Exception as error:  # A factory is the user's code: whatever it raises is the finding.
        message = f"the default of `{at.text}` is not JSON: {error}"
        walk.refuse("TR125", message, at, "use text, numbers, booleans, null, lists or models")
        return NO_DEFAULT


def typed_json(annotation: Any, value: Any) -> Any:
    """`value` as JSON data of the type `annotation`; raises `ValueError` with the first reason.

    Strict as the plane is: `"5"` is no integer. Plain JSON data (a dict for a model) is accepted
    too.
    """
    from pydantic import TypeAdapter, ValidationError

    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    try:
        checked = adapter.validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        try:
            checked = adapter.validate_json(json.dumps(to_json(value)), strict=True)
        except (ValidationError, ValueError):
            where = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error
    return _finite(adapter.dump_python(checked, mode="json", by_alias=False))


def _finite(plain: Any) -> Any:
    try:
        json.dumps(plain, allow_nan=False)
    except ValueError as error:
        raise ValueError("infinity and NaN are no JSON numbers") from error
    return plain
