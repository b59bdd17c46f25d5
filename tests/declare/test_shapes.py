"""What each declared type means on the wire."""

import dataclasses
import datetime
import decimal
import enum
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

import pydantic.dataclasses
import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, RootModel
from pydantic.alias_generators import to_camel
from tailrace import Raw
from tailrace._shapes import Shapes, Trail, Walk
from tailrace._source import Place
from typing_extensions import TypedDict


def lowered(annotation: Any) -> tuple[Shapes, int]:
    shapes = Shapes()

    def report(code: str, message: str, *_: Any, **__: Any) -> None:
        raise AssertionError(f"{code}: {message}")

    return shapes, Walk(shapes, report).type(annotation, Trail("it", Place("here")))


def tree(shapes: Shapes, index: int, above: tuple[int, ...] = ()) -> Any:
    """A shape with its inner shapes in place; `^` where it refers back."""
    if index in above:
        return "^"
    row = dict(shapes.rows[index])
    kind = row.pop("kind")
    below = (*above, index)
    if kind == "object":
        row["fields"] = {
            field["name"]: (
                tree(shapes, field["shape"], below),
                {key: value for key, value in field.items() if key not in ("name", "shape")},
            )
            for field in row["fields"]
        }
    elif kind == "tagged_union":
        row["variants"] = {tag: tree(shapes, one, below) for tag, one in row["variants"]}
    elif kind != "literal":
        for name in ("items", "values", "inner", "variants"):
            if name in row:
                value = row[name]
                many = isinstance(value, list)
                row[name] = (
                    [tree(shapes, one, below) for one in value]
                    if many
                    else tree(shapes, value, below)
                )
    return (kind, row) if row else kind


def shape(annotation: Any) -> Any:
    return tree(*lowered(annotation))


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Pair(NamedTuple):
    key: str
    value: int


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (None, "null"),
        (Raw, "any"),
        (JsonValue, "any"),
        (datetime.date, ("string", {"format": "date"})),
        (datetime.datetime, ("string", {"format": "date_time"})),
        (datetime.time, ("string", {"format": "time"})),
        (uuid.UUID, ("string", {"format": "uuid"})),
        (decimal.Decimal, ("string", {"format": "decimal"})),
        (Annotated[int, Field(ge=1, lt=9)], ("integer", {"limits": {"ge": 1, "lt": 9}})),
        (
            Annotated[float, Field(gt=0.5, le=2, multiple_of=0.5)],
            ("number", {"limits": {"gt": 0.5, "le": 2, "multiple_of": 0.5}}),
        ),
        (
            Annotated[str, Field(min_length=1, max_length=8, pattern="^a+$")],
            ("string", {"length_min": 1, "length_max": 8, "pattern": "^a+$"}),
        ),
        (
            Annotated[str, Field(pattern=re.compile("a.b", re.IGNORECASE | re.DOTALL))],
            ("string", {"pattern": "(?is)a.b"}),
        ),
        (Literal["a", 1, True], ("literal", {"values": ["a", 1, True]})),
        (Literal["a", None], ("optional", {"inner": ("literal", {"values": ["a"]})})),
        (Color, ("literal", {"values": ["red", "blue"]})),
        (Level, ("literal", {"values": [1, 2]})),
        (Literal[Color.RED], ("literal", {"values": ["red"]})),
        (list[int], ("array", {"items": "integer"})),
        (set[str], ("array", {"items": "string"})),
        (frozenset[str], ("array", {"items": "string"})),
        (Sequence[int], ("array", {"items": "integer"})),
        (tuple[int, ...], ("array", {"items": "integer"})),
        (
            Annotated[list[int], Field(min_length=1, max_length=3)],
            ("array", {"items": "integer", "length_min": 1, "length_max": 3}),
        ),
        (tuple[int, str], ("tuple", {"items": ["integer", "string"]})),
        (Pair, ("tuple", {"items": ["string", "integer"]})),
        (dict[str, int], ("dict", {"values": "integer"})),
        (Mapping[str, int], ("dict", {"values": "integer"})),
        (
            Annotated[dict[str, int], Field(max_length=3)],
            ("dict", {"values": "integer", "length_max": 3}),
        ),
        (int | None, ("optional", {"inner": "integer"})),
        (Raw | None, "any"),
        (int | str, ("union", {"variants": ["integer", "string"]})),
        (int | str | None, ("optional", {"inner": ("union", {"variants": ["integer", "string"]})})),
        (int | float, "number"),
        (Literal["a"] | Color, ("literal", {"values": ["a", "red", "blue"]})),
        (bool | list[int], ("union", {"variants": ["boolean", ("array", {"items": "integer"})]})),
    ],
    ids=str,
)
def test_a_type_has_this_shape(annotation: Any, expected: Any) -> None:
    assert shape(annotation) == expected


class Plain(BaseModel):
    need: int
    maybe: str | None = None
    many: list[int] = Field(default_factory=list)
    day: datetime.date = datetime.date(2024, 2, 29)


OPTIONAL_TEXT = ("optional", {"inner": "string"})


def test_a_model_has_required_fields_and_defaults_evaluated_once() -> None:
    kind, row = shape(Plain)
    assert kind == "object"
    assert row["extra"] == "drop"
    assert row["fields"] == {
        "need": ("integer", {"required": True}),
        "maybe": (OPTIONAL_TEXT, {"required": False, "default": None}),
        "many": (("array", {"items": "integer"}), {"required": False, "default": []}),
        "day": (
            ("string", {"format": "date"}),
            {"required": False, "default": "2024-02-29"},
        ),
    }


@pytest.mark.parametrize(
    ("extra", "expected"), [("allow", "keep"), ("forbid", "refuse"), ("ignore", "drop")]
)
def test_extra_fields_are_kept_refused_or_dropped(extra: Any, expected: str) -> None:
    class Model(BaseModel):
        model_config = ConfigDict(extra=extra)
        x: int

    assert shape(Model)[1]["extra"] == expected


class Aliased(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    user_id: str
    own: str = Field(alias="OWN")
    read_only: str = Field(validation_alias="ro")
    several: str = Field(validation_alias=AliasChoices("first", "second"))
    written: str = Field(serialization_alias="w", validation_alias="written")


def test_aliases_are_accepted_and_the_reply_uses_the_fields_name() -> None:
    fields = shape(Aliased)[1]["fields"]
    accepted = {name: extra.get("from") for name, (_, extra) in fields.items()}
    assert accepted == {
        "user_id": ["userId"],
        "own": ["OWN"],
        "read_only": ["ro"],
        "several": ["first", "second"],
        "written": None,
    }


def test_a_model_populated_by_name_accepts_both() -> None:
    class Model(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        x: int = Field(alias="X")

    assert shape(Model)[1]["fields"]["x"][1]["from"] == ["X", "x"]


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []
    parent: "Tree | None" = None


def test_a_recursive_model_refers_back_to_itself() -> None:
    fields = shape(Tree)[1]["fields"]
    assert fields["children"][0] == ("array", {"items": "^"})
    assert fields["parent"][0] == ("optional", {"inner": "^"})


class Left(BaseModel):
    right: "Right | None" = None


class Right(BaseModel):
    left: Left | None = None


def test_models_may_be_mutually_recursive() -> None:
    right = shape(Left)[1]["fields"]["right"][0][1]["inner"]
    assert right[1]["fields"]["left"][0] == ("optional", {"inner": "^"})


def test_a_model_used_twice_has_one_shape() -> None:
    class Both(BaseModel):
        one: Plain
        two: list[Plain]

    shapes, index = lowered(Both)
    one, two = shapes.rows[index]["fields"]
    assert shapes.rows[two["shape"]]["items"] == one["shape"]


@dataclasses.dataclass
class Standard:
    x: int
    y: str = "why"
    z: list[int] = dataclasses.field(default_factory=list)


@pydantic.dataclasses.dataclass
class Checked:
    x: int
    y: str = Field(default="why", alias="Y")


class Typed(TypedDict):
    x: int
    y: NotRequired[str]


def test_dataclasses_and_typed_dicts_are_objects() -> None:
    assert shape(Standard)[1]["fields"] == {
        "x": ("integer", {"required": True}),
        "y": ("string", {"required": False, "default": "why"}),
        "z": (("array", {"items": "integer"}), {"required": False, "default": []}),
    }
    assert shape(Checked)[1]["fields"]["y"] == (
        "string",
        {"required": False, "default": "why", "from": ["Y"]},
    )
    assert shape(Typed)[1]["fields"] == {
        "x": ("integer", {"required": True}),
        "y": ("string", {"required": False}),
    }


class Ids(RootModel[list[int]]):
    pass


class Card(BaseModel):
    kind: Literal["card"]
    number: str


class Cash(BaseModel):
    kind: Literal["cash", "coins"]


def test_a_root_model_is_what_it_holds() -> None:
    assert shape(Ids) == ("array", {"items": "integer"})


def test_a_discriminated_union_is_told_apart_by_its_tag() -> None:
    kind, row = shape(Annotated[Card | Cash, Field(discriminator="kind")])
    assert kind == "tagged_union"
    assert row["tag"] == "kind"
    assert list(row["variants"]) == ["card", "cash", "coins"]
    assert row["variants"]["cash"] == row["variants"]["coins"]


def test_an_optional_discriminated_union() -> None:
    kind, row = shape(Annotated[Card | Cash, Field(discriminator="kind")] | None)
    assert (kind, row["inner"][0]) == ("optional", "tagged_union")


def test_length_limits_of_a_models_config_reach_its_text() -> None:
    class Model(BaseModel):
        model_config = ConfigDict(str_max_length=5)
        x: str
        y: list[str]

    fields = shape(Model)[1]["fields"]
    assert fields["x"][0] == ("string", {"length_max": 5})
    assert fields["y"][0] == ("array", {"items": ("string", {"length_max": 5})})


def test_any_inside_a_model_is_the_models_own_decision() -> None:
    class Model(BaseModel):
        blob: Any
        table: dict[str, Any]

    fields = shape(Model)[1]["fields"]
    assert fields["blob"][0] == "any"
    assert fields["table"][0] == ("dict", {"values": "any"})


def test_private_attributes_do_not_matter() -> None:
    class Model(BaseModel):
        x: int
        _cache: int = 0

    assert list(shape(Model)[1]["fields"]) == ["x"]
