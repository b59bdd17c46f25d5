"""Dispatch over the kinds of a pydantic core schema.

The failure prevented: a kind that falls through to `any`. A kind without a row in `HANDLERS` is an
error that names the type, where it stands in the model, and `Raw`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from tailrace._shapes import containers, objects, scalars, unions
from tailrace._shapes.table import Shapes
from tailrace._source import Place, field_of
from tailrace.typing import RAW_MARK

Schema: TypeAlias = Any
Handler: TypeAlias = "Callable[[Walk, Schema, Trail], int]"
Report: TypeAlias = Callable[..., None]

CHECK_LATER = (
    'or move the check into a handler (`check="python"` arrives with handlers, counted as '
    "interpreter entries)"
)


@dataclass(frozen=True, slots=True)
class Trail:
    """Where the walk stands: for messages, and for the model settings that reach down."""

    text: str
    place: Place
    """Where to point when no model field is nearer."""
    model: type | None = None
    field_name: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    def into(self, model: type | None, config: dict[str, Any] | None) -> Trail:
        name = getattr(model, "__name__", self.text)
        return replace(self, text=name, model=model, config=config or {})

    def at(self, name: str) -> Trail:
        return replace(self, text=f"{self.text}.{name}", field_name=name)

    def items(self, mark: str = "[]") -> Trail:
        return replace(self, text=f"{self.text}{mark}")

    def nearest(self) -> Place:
        found = field_of(self.model, self.field_name) if self.model is not None else None
        return found or self.place


class Walk:
    """One walk over one type's core schema."""

    def __init__(self, shapes: Shapes, report: Report) -> None:
        self.shapes = shapes
        self._report = report
        self._definitions: dict[str, Schema] = {}

    def type(self, annotation: Any, at: Trail) -> int:
        """The shape of `annotation`; a type that pydantic cannot build is reported."""
        from pydantic import PydanticUserError, TypeAdapter
        from pydantic_core import SchemaError

        try:
            schema = TypeAdapter(annotation).core_schema
        except (PydanticUserError, SchemaError, NameError, TypeError) as error:
            _report_build(self, error, at)
            return self.shapes.add("any")
        return self.shape(schema, at)

    def shape(self, schema: Schema, at: Trail) -> int:
        kind = schema["type"]
        if _custom_serialization(schema):
            return self.refuse("TR120", f"`{at.text}` has a custom serializer", at)
        handler = HANDLERS.get(kind)
        if handler is not None:
            return handler(self, schema, at)
        if kind.startswith("function-"):
            name = _function_name(schema)
            return self.refuse("TR120", f"`{at.text}` is checked by Python code{name}", at)
        return self.refuse("TR121", f"`{at.text}` has a type the plane cannot check: {kind}", at)

    def refuse(self, code: str, message: str, at: Trail, *helps: str, label: str = "") -> int:
        """Reports and carries on with `any`, so that one walk finds every problem."""
        defaults = {
            "TR120": (
                "annotate the field `Raw` to pass its JSON on unchecked, " + CHECK_LATER,
                "limits the plane knows: ge gt le lt multiple_of min_length max_length pattern",
            ),
            "TR121": ("annotate it `Raw` to pass its JSON on unchecked, or `str`",),
        }
        self._report(
            code,
            message,
            at.nearest(),
            label=label or "the plane runs no Python here",
            helps=helps or defaults.get(code, ()),
        )
        return self.shapes.add("any")

    def definition(self, ref: str) -> Schema:
        return self._definitions[ref]

    def define(self, schema: Schema) -> None:
        self._definitions.update({row["ref"]: row for row in schema["definitions"]})


def type_name(annotation: Any) -> str:
    """How a message writes a type."""
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _definitions(walk: Walk, schema: Schema, at: Trail) -> int:
    walk.define(schema)
    return walk.shape(schema["schema"], at)


def _reference(walk: Walk, schema: Schema, at: Trail) -> int:
    ref = schema["schema_ref"]
    known = walk.shapes.known(ref)
    return known if known is not None else walk.shape(walk.definition(ref), at)


def _any(walk: Walk, schema: Schema, at: Trail) -> int:
    marked = schema.get("metadata", {}).get(RAW_MARK)
    if at.model is None and not marked:
        message = f"`{at.text}` is declared as `Any`"
        help_ = "declare a model, or write `Raw` where any JSON is right (`from tailrace import Raw`)"
        return walk.refuse("TR110", message, at, help_, label="no model to check and project with")
    return walk.shapes.add("any")


def _json_side(walk: Walk, schema: Schema, at: Trail) -> int:
    """`json-or-python`: only JSON arrives. pydantic's `JsonValue` says any JSON on purpose."""
    inner = schema["json_schema"]
    return walk.shapes.add("any") if inner["type"] == "any" else walk.shape(inner, at)


def _strict_side(walk: Walk, schema: Schema, at: Trail) -> int:
    return walk.shape(schema["strict_schema"], at)


def _custom_serialization(schema: Schema) -> bool:
    """`json-or-python` marks pydantic's own abstract collections, whose serializer is the list's."""
    kind = schema.get("serialization", {}).get("type", "")
    own = schema["type"] in ("json-or-python", "function-wrap", "lax-or-strict")
    return str(kind).startswith("function-") and not own


def _function_name(schema: Schema) -> str:
    function = schema.get("function", {}).get("function")
    module = getattr(function, "__module__", "") or ""
    name = getattr(function, "__qualname__", "").replace(".<locals>", "")
    return f" (`{name}`)" if name and not module.startswith("pydantic") else ""


def _report_build(walk: Walk, error: Exception, at: Trail) -> None:
    text = str(error).split("\n\nFor further")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    if "regex" in text:
        message = f"`{at.text}` has a pattern the plane cannot run"
        walk.refuse("TR044", message, at, scalars.PATTERN_HELP, label=reason[:200])
        return
    helps: tuple[str, ...] = ("the message is pydantic's: it could not build the type",)
    if "typing_extensions.TypedDict" in text:
        helps = ("from typing_extensions import TypedDict",)
    walk.refuse("TR124", f"`{at.text}` is not a usable type", at, *helps, label=lines[0][:200])


HANDLERS: dict[str, Handler] = {
    "definitions": _definitions,
    "definition-ref": _reference,
    "any": _any,
    "json-or-python": _json_side,
    "lax-or-strict": _strict_side,
    **scalars.HANDLERS,
    **containers.HANDLERS,
    **objects.HANDLERS,
    **unions.HANDLERS,
}
