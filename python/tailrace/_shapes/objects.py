"""Models, dataclasses and typed dicts.

The failure prevented: a field that is accepted under another name, or invented by Python code,
where the plane would not know. Aliases become the accepted names; the reply always uses the
field's own. Defaults are evaluated once. Code that runs on construction (`__post_init__`,
`model_post_init`, computed fields, alias paths) is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailrace._shapes.values import NO_DEFAULT, default_json

if TYPE_CHECKING:
    from tailrace._shapes.walk import Handler, Trail, Walk

_EXTRA = {"allow": "keep", "forbid": "refuse"}


def _model(walk: Walk, schema: Any, at: Trail) -> int:
    cls = schema["cls"]
    if schema.get("root_model"):
        return walk.shape(schema["schema"], at.into(cls, schema.get("config")))
    known = walk.shapes.known(schema.get("ref"))
    if known is not None:
        return known
    at = at.into(cls, schema.get("config"))
    post = getattr(getattr(cls, schema.get("post_init") or "", None), "__name__", "")
    if schema.get("custom_init") or post not in ("", "init_private_attributes"):
        what = "__init__" if schema.get("custom_init") else "model_post_init"
        return walk.refuse("TR120", f"`{at.text}` runs `{what}` on construction", at)
    inner = schema["schema"]
    while inner["type"].startswith("function-"):
        walk.shape(inner, at)
        inner = inner["schema"]
    extra = at.config.get("extra_fields_behavior", inner.get("extra_behavior"))
    return _object(walk, schema, _Body(inner, dict(inner["fields"]), extra), at)


def _dataclass(walk: Walk, schema: Any, at: Trail) -> int:
    known = walk.shapes.known(schema.get("ref"))
    if known is not None:
        return known
    at = at.into(schema["cls"], schema.get("config"))
    if schema.get("post_init"):
        return walk.refuse("TR120", f"`{at.text}` runs `__post_init__` on construction", at)
    inner = schema["schema"]
    while inner["type"].startswith("function-"):
        walk.shape(inner, at)
        inner = inner["schema"]
    rows: dict[str, Any] = {}
    for row in inner["fields"]:
        if row.get("init_only") or row.get("init") is False:
            here = at.at(row["name"])
            walk.refuse(
                "TR121", f"`{here.text}` is not a plain field (init only, or not in init)", here
            )
        else:
            rows[row["name"]] = row
    extra = at.config.get("extra_fields_behavior", inner.get("extra_behavior"))
    return _object(walk, schema, _Body(inner, rows, extra), at)


def _typed_dict(walk: Walk, schema: Any, at: Trail) -> int:
    known = walk.shapes.known(schema.get("ref"))
    if known is not None:
        return known
    at = at.into(schema.get("cls"), schema.get("config"))
    extra = schema.get("extra_behavior", at.config.get("extra_fields_behavior"))
    return _object(walk, schema, _Body(schema, dict(schema["fields"]), extra), at)


@dataclass(frozen=True, slots=True)
class _Body:
    """What the three kinds of objects have in common: fields by name, and the rule for others."""

    inner: Any
    rows: dict[str, Any]
    extra: Any


def _object(walk: Walk, schema: Any, body: _Body, at: Trail) -> int:
    inner = body.inner
    index = walk.shapes.reserve(schema.get("ref"))
    walk.shapes.declared_as(index, at.model)
    computed = inner.get("computed_fields") or schema.get("computed_fields") or []
    for field in computed:
        name = field["property_name"]
        message = f"`{at.text}.{name}` is computed by Python code"
        walk.refuse("TR120", message, at.at(name))
    if inner.get("extras_schema") or inner.get("extras_keys_schema"):
        walk.refuse("TR123", f"`{at.text}` limits its extra fields", at, "declare them as fields")
    fields = [_field(walk, name, row, at.at(name)) for name, row in body.rows.items()]
    _refuse_shared_names(walk, fields, at)
    kept = _EXTRA.get(str(body.extra), "drop")
    walk.shapes.fill(index, {"kind": "object", "fields": fields, "extra": kept})
    return index


def _field(walk: Walk, name: str, row: Any, at: Trail) -> dict[str, Any]:
    schema = row["schema"]
    default: Any = NO_DEFAULT
    required = row.get("required", True)
    while schema["type"] in ("default", "nullable-default"):
        default = default_json(walk, schema, at)
        required = False
        schema = schema["schema"]
    if row.get("serialization_exclude"):
        message = f"`{at.text}` is excluded from the reply"
        walk.refuse("TR123", message, at, "remove the field: what is not declared is dropped")
    field: dict[str, Any] = {"name": name, "shape": walk.shape(schema, at), "required": required}
    accepted = _accepted_names(walk, name, row, at)
    if accepted != [name]:
        field["from"] = accepted
    if default is not NO_DEFAULT:
        field["default"] = default
    return field


def _accepted_names(walk: Walk, name: str, row: Any, at: Trail) -> list[str]:
    """Names taken from the upstream, in pydantic's order of preference."""
    alias = row.get("validation_alias")
    config = at.config
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    if alias is None or (config.get("validate_by_alias") is False):
        return [name]
    # One AliasPath arrives as a flat list, several choices as a list of lists.
    several = isinstance(alias, list) and alias and isinstance(alias[0], list)
    paths = alias if several else [[alias] if isinstance(alias, str) else alias]
    names = [path[0] for path in paths if len(path) == 1]
    if len(names) != len(paths):
        message = f"`{at.text}` is read from a path inside the body (`AliasPath`)"
        walk.refuse("TR123", message, at, "declare the nested object as a model")
    return list(dict.fromkeys([*names, name] if by_name else names)) or [name]


def _refuse_shared_names(walk: Walk, fields: list[dict[str, Any]], at: Trail) -> None:
    seen: dict[str, str] = {}
    for field in fields:
        for accepted in field.get("from", [field["name"]]):
            if accepted in seen:
                here = at.at(field["name"])
                message = f"`{here.text}` and `{at.text}.{seen[accepted]}` both read `{accepted}`"
                walk.refuse("TR123", message, here, "give each field its own alias")
            seen[accepted] = field["name"]


def _default_outside(walk: Walk, schema: Any, at: Trail) -> int:
    """A default on an item or on a part itself: only fields and parts can be left out."""
    return walk.shape(schema["schema"], at)


HANDLERS: dict[str, Handler] = {
    "model": _model,
    "dataclass": _dataclass,
    "typed-dict": _typed_dict,
    "default": _default_outside,
}
