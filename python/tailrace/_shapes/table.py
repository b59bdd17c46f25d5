"""The shapes of one blueprint.

The failure prevented: a model used by five parts and lowered five times, or a recursive model that
never ends. Plain shapes are shared by content, models by their identity; a model takes its index
before its fields are walked, so a field may refer back to it.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

Shape: TypeAlias = dict[str, Any]

SCALARS = frozenset({"boolean", "integer", "number", "string", "literal"})


class Shapes:
    """The table; an index is what shapes and parts refer to."""

    def __init__(self) -> None:
        self.rows: list[Shape] = []
        self.models: dict[int, type] = {}
        """The class an object was declared as, for whoever names it to people."""
        self._by_text: dict[str, int] = {}
        self._by_ref: dict[str, int] = {}

    def add(self, kind: str, **fields: Any) -> int:
        """The index of this shape; absent limits (`None`) are left out."""
        shape = {"kind": kind, **{key: value for key, value in fields.items() if value is not None}}
        text = json.dumps(shape, sort_keys=True)
        if text not in self._by_text:
            self._by_text[text] = len(self.rows)
            self.rows.append(shape)
        return self._by_text[text]

    def known(self, ref: str | None) -> int | None:
        return self._by_ref.get(ref) if ref else None

    def reserve(self, ref: str | None) -> int:
        """An index for a model whose fields are walked next."""
        self.rows.append({})
        index = len(self.rows) - 1
        if ref:
            self._by_ref[ref] = index
        return index

    def fill(self, index: int, shape: Shape) -> None:
        self.rows[index] = shape

    def declared_as(self, index: int, model: type | None) -> None:
        if model is not None:
            self.models[index] = model

    def kind(self, index: int) -> str:
        return str(self.rows[index].get("kind", "object"))

    def unwrap(self, index: int) -> int:
        """The shape inside any number of optionals."""
        while self.kind(index) == "optional":
            index = self.rows[index]["inner"]
        return index

    def nullable(self, index: int) -> bool:
        """Whether JSON null fits."""
        row = self.rows[index]
        kind = row.get("kind", "object")
        if kind == "literal":
            return None in row["values"]
        if kind == "union":
            return any(self.nullable(variant) for variant in row["variants"])
        return kind in ("optional", "null", "any")

    def scalar(self, index: int) -> bool:
        """Whether every value (but null) is text, a number or a boolean."""
        index = self.unwrap(index)
        if self.kind(index) == "union":
            return all(self.scalar(variant) for variant in self.rows[index]["variants"])
        return self.kind(index) in SCALARS

    def fields(self, index: int) -> dict[str, int] | None:
        """Reply names and shapes of an object's fields; `None` when it is no object."""
        row = self.rows[self.unwrap(index)]
        if row.get("kind") == "tagged_union":
            return self._shared_fields(row)
        if row.get("kind") != "object":
            return None
        return {field["name"]: field["shape"] for field in row["fields"]}

    def describe(self, index: int) -> str:
        """What a message calls this shape."""
        kind = self.kind(self.unwrap(index))
        names = {
            "array": "a list",
            "tuple": "a tuple",
            "dict": "a dict",
            "object": "an object",
            "tagged_union": "an object",
            "any": "unchecked JSON (`Raw`)",
            "null": "null",
            "union": "a union",
        }
        return names.get(kind, f"a {kind}")

    def compact(self, users: list[dict[str, Any]]) -> list[Shape]:
        """The shapes that `users` (parameters, parts) reach, renumbered from 0 in order of use."""
        order: dict[int, int] = {}
        queue = [int(user["shape"]) for user in users]
        while queue:
            index = queue.pop(0)
            if index not in order:
                order[index] = len(order)
                queue += inner_shapes(self.rows[index])
        for user in users:
            user["shape"] = order[user["shape"]]
        self.models = {order[old]: cls for old, cls in self.models.items() if old in order}
        return [_renumbered(self.rows[index], order) for index in order]

    def _shared_fields(self, row: Shape) -> dict[str, int]:
        """Fields that every variant of a tagged union has."""
        shared: dict[str, int] | None = None
        for _, variant in row["variants"]:
            own = self.fields(variant) or {}
            shared = own if shared is None else {n: s for n, s in shared.items() if n in own}
        return shared or {}


def inner_shapes(row: Shape) -> list[int]:
    """Indices a shape refers to."""
    kind = row["kind"]
    if kind == "object":
        return [field["shape"] for field in row["fields"]]
    if kind == "tagged_union":
        return [index for _, index in row["variants"]]
    found = [row[name] for name in ("items", "values", "inner", "variants") if name in row]
    if kind == "literal" or not found:
        return []
    return found[0] if isinstance(found[0], list) else found


def _renumbered(row: Shape, order: dict[int, int]) -> Shape:
    kind = row["kind"]
    if kind == "object":
        fields = [{**field, "shape": order[field["shape"]]} for field in row["fields"]]
        return {**row, "fields": fields}
    if kind == "tagged_union":
        return {**row, "variants": [[tag, order[index]] for tag, index in row["variants"]]}
    if kind == "literal":
        return row
    changed = dict(row)
    for name in ("items", "values", "inner", "variants"):
        if name in row:
            value = row[name]
            changed[name] = [order[v] for v in value] if isinstance(value, list) else order[value]
    return changed
