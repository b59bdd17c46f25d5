"""Shapes of a blueprint as JSON Schema, as they leave in a reply.

The failure prevented: a published schema that says something else than the plane checks. What is
described is the shape the plane runs, not the model it came from; only names and descriptions are
the model's. A field with a default is always there, because the plane adds it; what is not declared
is dropped, so other properties are denied. Limits: a pattern that only Rust's `regex` can read is
left out; formats are named as pydantic names them, and allow what it allows.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from copy import copy
from typing import Any, Final, TypeAlias

from tailrace._shapes.table import inner_shapes

Schema: TypeAlias = dict[str, Any]

DECIMAL: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
PRINTABLE: Final = r"^[^\u0000-\u001F\u007F]*$"
FORMATS: Final[dict[str, Schema]] = {
    "date": {"format": "date"},
    "date_time": {"format": "date-time"},
    "time": {"format": "time"},
    "uuid": {"format": "uuid"},
    # As pydantic has it: text, or a JSON number, which passes as the bytes that came.
    "decimal": {"type": ["string", "number"], "pattern": DECIMAL},
}
LIMITS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
# Flags and named groups, anchors and classes that ECMA 262 does not have.
_ONLY_RUST: Final = re.compile(r"\(\?(?!:)|\\[AzZ]|\[\[:|&&|--|~~|\\x\{|\\[hHRX]")
_NOT_IN_KEYS: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Schemas:
    """The schemas of one document; `components` fills as shapes are asked for.

    `replies` are the shapes that parts have: an object that callers send and get has two schemas.
    """

    def __init__(
        self, shapes: list[Schema], models: dict[int, type], replies: Iterable[int] = ()
    ) -> None:
        self.components: dict[str, Schema] = {}
        self._shapes = shapes
        self._models = models
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()
        self._replied = self._reached(replies)
        self._sent = False

    def sent(self) -> Schemas:
        """The same for what callers send: accepted names, and no more than must be there."""
        other = copy(self)
        other._names, other._sent = {}, True
        return other

    def _reached(self, users: Iterable[int]) -> set[int]:
        found: set[int] = set()
        queue = list(users)
        while queue:
            index = queue.pop()
            if index not in found:
                found.add(index)
                queue += inner_shapes(self._shapes[index])
        return found

    def claim(self, name: str) -> str:
        """A key of `components/schemas` like `name` that nothing else has."""
        plain = _NOT_IN_KEYS.sub("_", name).strip("_") or "Object"
        chosen, number = plain, 2
        while chosen in self._taken:
            chosen, number = f"{plain}{number}", number + 1
        self._taken.add(chosen)
        return chosen

    def shape(self, index: int) -> Schema:
        """The schema of the shape at `index`; an object is a reference to its component."""
        row = self._shapes[index]
        kind = row["kind"]
        if kind == "object":
            return self._object(index, row)
        if kind in ("array", "tuple", "dict"):
            return self._container(kind, row)
        if kind == "optional":
            return self._optional(row)
        if kind == "union":
            return {"anyOf": [self.shape(one) for one in row["variants"]]}
        if kind == "tagged_union":
            return self._tagged(row)
        return scalar(row)

    def inner(self, index: int) -> int:
        """The shape inside an optional one."""
        while self._shapes[index]["kind"] == "optional":
            index = self._shapes[index]["inner"]
        return index

    def row(self, index: int) -> Schema:
        return self._shapes[index]

    def _optional(self, row: Schema) -> Schema:
        """Null joins a type or a union; beside a reference it is a variant of its own."""
        schema = self.shape(row["inner"])
        kind = schema.get("type")
        if kind is not None and "enum" not in schema:
            kinds = [kind] if isinstance(kind, str) else kind
            return {**schema, "type": [*kinds, "null"]}
        if set(schema) == {"anyOf"}:
            return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
        return {"anyOf": [schema, {"type": "null"}]}

    def _container(self, kind: str, row: Schema) -> Schema:
        if kind == "tuple":
            items = [self.shape(one) for one in row["items"]]
            size = len(items)
            fixed: Schema = {"type": "array", "minItems": size, "maxItems": size}
            return {**fixed, "prefixItems": items} if items else fixed
        least, most = ("minItems", "maxItems")
        if kind == "dict":
            least, most = ("minProperties", "maxProperties")
            schema: Schema = {"type": "object", "additionalProperties": self.shape(row["values"])}
        else:
            schema = {"type": "array", "items": self.shape(row["items"])}
        return schema | _sizes(row, least, most)

    def _object(self, index: int, row: Schema) -> Schema:
        model = self._models.get(index)
        if index not in self._names:
            twin = "Input" if self._sent and index in self._replied else ""
            name = self.claim(getattr(model, "__name__", "Object") + twin)
            self._names[index] = name
            self.components[name] = {}  # Its place, before the models that its fields lead to.
            describe = self._accepted if self._sent else self._properties
            self.components[name] = describe(model, row)
        return {"$ref": f"#/components/schemas/{self._names[index]}"}

    def _properties(self, model: type | None, row: Schema) -> Schema:
        schema: Schema = {"type": "object"}
        if text := own_doc(model):
            schema["description"] = text
        described = _descriptions(model)
        schema["properties"] = {
            field["name"]: with_description(self.shape(field["shape"]), described[field["name"]])
            if field["name"] in described
            else self.shape(field["shape"])
            for field in row["fields"]
        }
        always = [one["name"] for one in row["fields"] if one["required"] or "default" in one]
        if always:
            schema["required"] = always
        if row["extra"] != "keep":
            schema["additionalProperties"] = False
        return schema

    def _accepted(self, model: type | None, row: Schema) -> Schema:
        """An object as callers may send it: a field under any of its names."""
        schema = self._properties(model, row)
        own = schema.pop("properties")
        schema.pop("required", None)
        schema.pop("additionalProperties", None)
        properties: Schema = {}
        needed: list[str] = []
        choices: list[Schema] = []
        for field in row["fields"]:
            names = field.get("from") or [field["name"]]
            told = own[field["name"]]
            if "default" in field:
                told = told | {"default": field["default"]}
            properties |= dict.fromkeys(names, told)
            if field["required"] and len(names) == 1:
                needed += names
            elif field["required"]:
                choices.append({"anyOf": [{"required": [name]} for name in names]})
        schema["properties"] = properties
        if needed:
            schema["required"] = needed
        if choices:
            schema["allOf"] = choices
        if row["extra"] == "refuse":
            schema["additionalProperties"] = False
        return schema

    def _tagged(self, row: Schema) -> Schema:
        variants = [(tag, self.shape(index)) for tag, index in row["variants"]]
        schema: Schema = {"oneOf": [one for _, one in variants]}
        if all("$ref" in one for _, one in variants):
            # The tag is read under the upstream's name and leaves under the field's own.
            fields = self._shapes[self.inner(row["variants"][0][1])]["fields"]
            names = [one["name"] for one in fields if row["tag"] in one.get("from", [one["name"]])]
            names = [row["tag"]] if self._sent else names
            mapping = {tag: one["$ref"] for tag, one in variants}
            schema["discriminator"] = {"propertyName": (names or [row["tag"]])[0]}
            schema["discriminator"]["mapping"] = mapping
        return schema


def scalar(row: Schema) -> Schema:
    """Text, a number, a boolean, null, one of some values, or anything."""
    kind = row["kind"]
    if kind == "any":
        return {}
    if kind == "literal":
        return _literal(row["values"])
    schema: Schema = {"type": kind}
    for ours, theirs in LIMITS.items():
        limit = row.get("limits", {}).get(ours)
        if limit is not None:
            schema[theirs] = int(limit) if float(limit).is_integer() else limit
    if kind == "string":
        schema |= _sizes(row, "minLength", "maxLength") | FORMATS.get(row.get("format", ""), {})
        pattern = row.get("pattern")
        if pattern is not None and not _ONLY_RUST.search(pattern):
            schema["pattern"] = pattern
    return schema


def _literal(values: list[Any]) -> Schema:
    names = {str: "string", bool: "boolean", int: "integer", float: "number"}
    kinds = list(dict.fromkeys(names[type(value)] for value in values))
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": list(values)}


def _sizes(row: Schema, least: str, most: str) -> Schema:
    found = {least: row.get("length_min"), most: row.get("length_max")}
    return {name: size for name, size in found.items() if size is not None}


def with_description(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text} if text else schema


def own_doc(cls: type | None) -> str:
    """The class's own docstring; not a base's, nor the one `dataclass` writes."""
    text = vars(cls).get("__doc__") if isinstance(cls, type) else None
    if not isinstance(text, str) or text.startswith(f"{getattr(cls, '__name__', '')}("):
        return ""
    return inspect.cleandoc(text)


def _descriptions(model: type | None) -> dict[str, str]:
    """`Field(description=...)` of a pydantic model or dataclass."""
    fields = getattr(model, "__pydantic_fields__", None)
    if not isinstance(fields, dict):
        return {}
    return {name: one.description for name, one in fields.items() if one.description}
