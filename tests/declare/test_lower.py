"""What a declaration becomes: the blueprint, piece by piece."""

import json
from enum import Enum
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
import shop
from tailrace import Bulkhead, Raw, Service, Upstream, View, header, path, query, strong, weak
from tailrace._lower import build, lower

ORDER = Path(__file__).parent / "order.blueprint.json"


def one_view(cls: type[View], route: str = "/t/{id}") -> dict[str, Any]:
    service = Service("test", deadline="1s")
    service.view(route, name="test")(cls)
    return service.blueprint()


def parameter(cls: type[View], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    blueprint = one_view(cls)
    row = next(row for row in blueprint["views"][0]["parameters"] if row["name"] == name)
    return row, blueprint["shapes"][row["shape"]]


up = Upstream("up", "http://up:1", timeout="100ms")


def test_the_order_example_lowers_to_the_reviewed_blueprint(update_snapshots: bool) -> None:
    """req 10.1: the whole example, field by field."""
    blueprint = shop.service.blueprint()
    if update_snapshots:
        ORDER.write_text(json.dumps(blueprint, indent=1) + "\n")
    assert blueprint == json.loads(ORDER.read_text())


def test_lowering_is_compact_json_and_repeatable() -> None:
    first = lower(shop.service)
    assert first == lower(shop.service)
    assert b": " not in first.replace(b"shop%20", b"")
    assert json.loads(first) == shop.service.blueprint()


def test_every_value_knows_the_line_it_came_from() -> None:
    origins = build(shop.service).origins
    lines = Path(shop.__file__).read_text().splitlines()
    for key, text in {
        "upstreams.orders.timeout_ms": 'timeout="80ms"',
        "upstreams.recs.body_max_bytes": "body_max=",
        "service.deadline_ms": "deadline=",
        "views.order.parts.recommend.timeout_ms": 'timeout="40ms"',
    }.items():
        assert text in lines[int(origins[key].rpartition(":")[2]) - 1]
    assert origins["upstreams.coupons.timeout_ms"] == "default"
    assert origins["views.order.deadline_ms"] == origins["service.deadline_ms"]


def test_an_undeclared_placeholder_is_text_of_limited_length() -> None:
    class Test(View):
        part: Raw = strong(up.get("/x/{id}"))

    row, shape = parameter(Test, "id")
    assert row == {"name": "id", "in": "path", "shape": row["shape"], "required": True}
    assert shape == {"kind": "string", "length_min": 1, "length_max": 256}


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Typed(View):
    id: int = path(ge=1, le=9)
    page: int = query(default=2, ge=1, alias="p")
    ratio: float = query(default=0.5, lt=1)
    full: bool = query(default=True)
    size: Size = query(default=Size.LARGE)
    order: Literal["asc", "desc"] = query(default="asc")
    key: UUID | None = query()
    shop_name: str = header(min_length=2)
    part: Raw = strong(up.get("/x/{id}", query={"p": "{page}"}))


@pytest.mark.parametrize(
    ("name", "row", "shape"),
    [
        ("id", {"in": "path", "required": True}, {"kind": "integer", "limits": {"ge": 1, "le": 9}}),
        (
            "page",
            {"in": "query", "wire_name": "p", "required": False, "default": "2"},
            {"kind": "integer", "limits": {"ge": 1}},
        ),
        (
            "ratio",
            {"in": "query", "wire_name": "ratio", "required": False, "default": "0.5"},
            {"kind": "number", "limits": {"lt": 1}},
        ),
        (
            "full",
            {"in": "query", "wire_name": "full", "required": False, "default": "true"},
            {"kind": "boolean"},
        ),
        (
            "size",
            {"in": "query", "wire_name": "size", "required": False, "default": "l"},
            {"kind": "literal", "values": ["s", "l"]},
        ),
        (
            "order",
            {"in": "query", "wire_name": "order", "required": False, "default": "asc"},
            {"kind": "literal", "values": ["asc", "desc"]},
        ),
        (
            "key",
            {"in": "query", "wire_name": "key", "required": False},
            {"kind": "string", "format": "uuid"},
        ),
        (
            "shop_name",
            {"in": "header", "wire_name": "shop-name", "required": True},
            {"kind": "string", "length_min": 2},
        ),
    ],
)
def test_a_typed_parameter(name: str, row: dict[str, Any], shape: dict[str, Any]) -> None:
    found, found_shape = parameter(Typed, name)
    assert {key: value for key, value in found.items() if key not in ("name", "shape")} == row
    assert found_shape == shape


def test_a_bulkhead_may_say_its_queue() -> None:
    small = Upstream("small", "http://s:1", bulkhead=Bulkhead(limit=3, queue=0))

    class Test(View):
        part: Raw = strong(small.get("/x"))

    assert one_view(Test)["upstreams"][0]["bulkhead"] == {"limit": 3, "queue": 0}


def test_each_reads_the_item_or_its_fields() -> None:
    class Test(View):
        names: list[str] = strong(up.get("/names"))
        found: list[Raw] = strong(up.get("/n/{item}"), each="names", timeout="5ms")
        weakly: list[Raw | None] | None = weak(up.get("/n/{item}"), each="names", each_max=3)

    parts = one_view(Test)["views"][0]["parts"]
    assert parts[1]["path"] == [{"text": "/n/"}, {"item": []}]
    assert parts[1]["each"] == {"part": "names", "field": [], "items_max": 64}
    assert parts[2]["each"]["items_max"] == 3


def test_a_part_may_read_one_declared_below_it() -> None:
    class Test(View):
        late: Raw = strong(up.get("/l/{early.id}"))
        early: shop.User = strong(up.get("/e/{id}"))

    parts = one_view(Test)["views"][0]["parts"]
    assert [part["name"] for part in parts] == ["late", "early"]
    assert parts[0]["path"][1] == {"part": {"name": "early", "field": ["id"]}}


def test_views_inherit_parts_and_replace_them_in_place() -> None:
    class Base(View):
        one: Raw = strong(up.get("/one"))
        two: Raw = strong(up.get("/two"))

    class Test(Base):
        three: Raw = strong(up.get("/three"))
        one: Raw = strong(up.get("/other"))

    parts = one_view(Test)["views"][0]["parts"]
    assert [part["name"] for part in parts] == ["one", "two", "three"]
    assert parts[0]["path"] == [{"text": "/other"}]


def test_names_with_an_underscore_stay_out_of_the_view() -> None:
    class Test(View):
        _note = "kept for the reader"
        part: Raw = strong(up.get("/one"))

    assert [part["name"] for part in one_view(Test)["views"][0]["parts"]] == ["part"]


def test_the_envelope_can_be_renamed() -> None:
    service = Service("test", deadline="1s", envelope={"degraded": "_degraded"})

    @service.view("/t")
    class Test(View):
        degraded: Raw = strong(up.get("/one"))

    assert service.blueprint()["envelope"] == {
        "degraded": "_degraded",
        "request_id": "request_id",
        "served_at_ms": "served_at_ms",
    }


def test_braces_are_written_twice() -> None:
    class Test(View):
        part: Raw = strong(up.get("/one", headers={"x-set": "{{a}}-{id}"}))

    part = one_view(Test)["views"][0]["parts"][0]
    pieces = [{"text": "{a}-"}, {"parameter": "id"}]
    assert part["headers"] == [{"name": "x-set", "value": pieces}]


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        ("OrderView", "order"),
        ("Order", "order"),
        ("HTTPStatusView", "http_status"),
        ("View", "view"),
    ],
)
def test_a_view_is_named_after_its_class(cls: str, name: str) -> None:
    service = Service("test", deadline="1s")
    service.view("/t")(type(cls, (View,), {}))
    assert service.views[0].name == name
