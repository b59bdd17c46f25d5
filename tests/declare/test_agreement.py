"""Shapes accept what pydantic's strict JSON mode accepts, and nothing else.

req 6.1: the model a user declares is what the plane enforces. Values are drawn around each type:
right ones, and right ones with one thing broken.
"""

import enum
import json
import random
from typing import Annotated, Any, Literal

import oracle
import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from tailrace import Raw
from tailrace._shapes import Shapes, Trail, Walk
from tailrace._source import Place


class Color(enum.Enum):
    RED = "red"
    ONE = "one"


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: Annotated[int, Field(ge=0, le=3)]
    x: float | None = None


class Card(BaseModel):
    kind: Literal["card"]
    n: int


class Cash(BaseModel):
    kind: Literal["cash"]
    x: float = 0.5


class Node(BaseModel):
    kind: str = Field(min_length=1, max_length=5)
    n: int = Field(default=1, alias="N")
    items: list[Leaf] = Field(default=[], max_length=2)
    child: "Node | None" = None


TYPES: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "limits": Annotated[float, Field(gt=-1, lt=2)],
    "str": Annotated[str, Field(min_length=1, max_length=4)],
    "literal": Literal["red", 1, True],
    "enum": Color,
    "list": Annotated[list[int], Field(min_length=1, max_length=2)],
    "tuple": tuple[int, str],
    "variadic": tuple[float, ...],
    "dict": Annotated[dict[str, int | None], Field(max_length=2)],
    "optional": int | None,
    "union": bool | str | list[int],
    "number": int | float | None,
    "model": Leaf,
    "recursive": Node,
    "tagged": Annotated[Card | Cash, Field(discriminator="kind")],
    "maybe tagged": Annotated[Card | Cash, Field(discriminator="kind")] | None,
    "raw": Raw,
}

SCALARS = [None, True, False, 0, 1, 3, 4, -1, 0.0, 0.5, 1.5, 2.0, "", "red", "one", "card", "cash"]
SAMPLES = 2_000


class Draw:
    """Values near a shape: right in most places, wrong somewhere now and then. Seeded."""

    def __init__(self, shapes: list[dict[str, Any]], seed: int) -> None:
        self.shapes = shapes
        self.random = random.Random(seed)

    def value(self, index: int, depth: int = 0) -> Any:
        if depth > 4 or self.random.random() < 0.08:
            return self.other(depth)
        row = self.shapes[index]
        kind = row["kind"]
        if kind == "object":
            return self.object(row, depth)
        if kind == "array":
            return [self.value(row["items"], depth + 1) for _ in range(self.random.randrange(4))]
        if kind == "tuple":
            return [self.value(one, depth + 1) for one in row["items"]]
        if kind == "dict":
            keys = self.random.sample(["a", "b", "c", "d"], self.random.randrange(4))
            return {key: self.value(row["values"], depth + 1) for key in keys}
        if kind == "optional":
            return None if self.random.random() < 0.3 else self.value(row["inner"], depth)
        if kind == "union":
            return self.value(self.random.choice(row["variants"]), depth)
        if kind == "tagged_union":
            return self.value(self.random.choice(row["variants"])[1], depth)
        return self.scalar(row)

    def scalar(self, row: dict[str, Any]) -> Any:
        if row["kind"] == "literal":
            return self.random.choice(row["values"])
        kinds = {"boolean": bool, "integer": int, "number": float, "string": str}
        wanted = kinds.get(row["kind"], object)
        return self.random.choice([one for one in SCALARS if isinstance(one, wanted)])

    def object(self, row: dict[str, Any], depth: int) -> dict[str, Any]:
        drawn: dict[str, Any] = {}
        for field in row["fields"]:
            if field["required"] or self.random.random() < 0.5:
                name = self.random.choice(field.get("from") or [field["name"]])
                drawn[name] = self.value(field["shape"], depth + 1)
        if drawn and self.random.random() < 0.1:
            del drawn[self.random.choice(list(drawn))]
        if self.random.random() < 0.1:
            drawn["other"] = self.random.choice(SCALARS)
        return drawn

    def other(self, depth: int) -> Any:
        if depth < 3 and self.random.random() < 0.3:
            return [self.other(depth + 1), {"n": self.other(depth + 1)}]
        return self.random.choice(SCALARS)


@pytest.mark.parametrize("name", TYPES)
def test_the_shape_agrees_with_pydantic(name: str) -> None:
    annotation = TYPES[name]
    shapes = Shapes()
    problems: list[Any] = []
    walk = Walk(shapes, lambda *args, **_: problems.append(args))
    index = walk.type(annotation, Trail("it", Place("here")))
    assert problems == []
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    draw = Draw(shapes.rows, seed=7)
    seen = {True: 0, False: 0}
    for _ in range(SAMPLES):
        value = draw.value(index)
        try:
            adapter.validate_json(json.dumps(value), strict=True)
            expected = True
        except ValidationError:
            expected = False
        seen[expected] += 1
        assert oracle.accepts(shapes.rows, index, value) == expected, value
    assert seen[True] >= SAMPLES / 20
    assert seen[False] >= SAMPLES / 50 or annotation is Raw
