"""Calls of Python code: what is registered, found again, and refused with a hint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, field_validator
from tailrace import DeclarationError, Raw, Upstream
from tailrace._codec import text
from tailrace._lower import lower_client
from tailrace._registry import Registry
from tailrace._runtime import check_blueprint


class Order(BaseModel):
    id: str


class Picky(BaseModel):
    id: str

    @field_validator("id")
    @classmethod
    def check(cls, value: str) -> str:
        return value


class Color(Enum):
    RED = "red"


orders = Upstream("orders", "http://orders:9001", timeout="80ms")


class Plane:
    """Takes what is registered, and checks it as the plane does."""

    def __init__(self) -> None:
        self.blueprints: list[dict[str, Any]] = []

    def register(self, blueprint: bytes) -> int:
        assert check_blueprint(blueprint) == []
        self.blueprints.append(json.loads(blueprint))
        return len(self.blueprints) - 1

    @property
    def part(self) -> dict[str, Any]:
        part: dict[str, Any] = self.blueprints[-1]["views"][0]["parts"][0]
        return part

    @property
    def shape(self) -> dict[str, Any]:
        shape: dict[str, Any] = self.blueprints[-1]["shapes"][self.part["shape"]]
        return shape


@pytest.fixture
def plane() -> Plane:
    return Plane()


@pytest.fixture
def registry(plane: Plane) -> Registry:
    rows = {row["name"]: row for row in lower_client([orders], orders.place)["upstreams"]}
    return Registry(plane, rows, lambda name: f"give it {name}")


def test_a_call_is_registered_once_whatever_its_values(registry: Registry, plane: Plane) -> None:
    first = registry.find(orders.get("/orders/{id}", Order, id="a"))
    again = registry.find(orders.get("/orders/{id}", Order, id="b"))
    assert first is again
    call = orders.get("/orders/{id}", Order, id="b/c")
    assert again.values(call) == [b"b/c"]
    other = registry.find(orders.get("/orders/{id}", Order, id="b", timeout="10ms"))
    assert other.number == 1
    assert plane.part["timeout_ms"] == 10.0
    assert "timeout_ms" not in plane.blueprints[0]["views"][0]["parts"][0]
    assert plane.part["path"] == [{"text": "/orders/"}, {"parameter": "id"}]


def test_queries_and_headers_are_templates_too(registry: Registry, plane: Plane) -> None:
    call = orders.get(
        "/orders",
        list[Order],
        query={"user": "{user}", "page": "{page}"},
        headers={"x-tenant": "t-{tenant}"},
        user="u",
        page=None,
        tenant="x",
    )
    found = registry.find(call)
    assert found.names == ("page", "tenant", "user")
    assert found.values(call) == [None, b"x", b"u"]
    assert plane.part["query"][0] == {"name": "user", "value": [{"parameter": "user"}]}
    assert plane.part["headers"][0]["name"] == "x-tenant"
    assert plane.shape["kind"] == "array"


@dataclass
class Plain:
    id: str


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (Order, "object"),
        (Plain, "object"),
        (Order | None, "optional"),
        (list[Order], "array"),
        (Raw, "any"),
        (bytes, "any"),
        # Python validates what the plane cannot check.
        (Picky, "any"),
    ],
)
def test_a_model_becomes_a_shape_as_far_as_the_plane_can_check_it(
    registry: Registry, plane: Plane, model: Any, kind: str
) -> None:
    registry.find(orders.get("/orders/{id}", model, id="a"))
    assert plane.shape["kind"] == kind


@pytest.mark.parametrize(
    ("path", "values", "said", "hint"),
    [
        ("/orders/17", {}, "segment `17`", "id=order_id"),
        ("/orders/0b5cb1c4-7b0c-4f3e-9a5f-93c21d0c4a11", {}, "looks like a value", "id=order_id"),
        ("/orders/a%20b", {}, "has a `%`", "id=order_id"),
        ("/orders?user=1", {}, "has a `?`", "query={"),
        ("/orders/x", {"id": 1}, "which no template names", "id=order_id"),
        ("/orders/{id}", {}, "gives no value for `{id}`", "id=..."),
        ("/orders/{id}", {"id": None}, "a path needs a value", "decide before"),
        ("/orders/{id!r}", {"id": 1}, "is not a reference", "{id}"),
        ("orders/{id}", {"id": 1}, "does not start with `/`", "/orders/{id}"),
        ("http://orders/{id}", {"id": 1}, "does not start with `/`", "belongs to the Upstream"),
        ("/orders//{id}", {"id": 1}, "empty or dot segment", "formatted"),
    ],
)
def test_a_path_that_is_no_template_is_refused_with_a_hint(
    registry: Registry, plane: Plane, *, path: str, values: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        registry.find(orders.get(path, Order, **values))
    rendered = caught.value.render()
    assert said in rendered
    assert hint in rendered
    place = caught.value.problems[0].place
    assert place is not None
    assert place.file == __file__
    assert plane.blueprints == []


def test_a_known_call_with_other_names_is_refused(registry: Registry) -> None:
    known = registry.find(orders.get("/orders/{id}", Order, id="a"))
    other = orders.get("/orders/{id}", Order, key="a")
    assert registry.find(other) is known
    with pytest.raises(DeclarationError, match=r"gives no value for `\{id\}`"):
        known.values(other)
    with pytest.raises(DeclarationError, match="gives `key`, which no template names"):
        registry.find(orders.get("/orders/{id}", Order, id="a", key="a"))


def test_an_upstream_it_does_not_know_is_named(registry: Registry) -> None:
    other = Upstream("other", "http://other:1")
    with pytest.raises(DeclarationError, match="give it other"):
        registry.find(other.get("/x/{id}", Order, id=1))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a/ä", "a/ä"),
        (7, "7"),
        (True, "true"),
        (1.5, "1.5"),
        (Color.RED, "red"),
        (date(2026, 11, 24), "2026-11-24"),
        (Decimal("1.20"), "1.20"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_values_become_text(value: Any, written: str) -> None:
    assert text(value) == written.encode()


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="dict cannot stand in a call's template"):
        text({"a": 1})
    assert text(None) is None


def test_a_call_without_a_model_takes_no_values() -> None:
    with pytest.raises(TypeError, match="has id, but no model"):
        orders.get("/orders/{id}", id=1)  # type: ignore[call-overload]


def test_a_body_is_sent_as_it_is_and_does_not_make_another_call(
    registry: Registry, plane: Plane
) -> None:
    first = orders.post("/orders/{id}", Order, json=Order(id="{id}"), id="a")
    found = registry.find(first)
    assert found.values(first) == [b"a", b'{"id":"{id}"}']
    other = orders.post("/orders/{id}", Order, json={"x": [1, None]}, id="b")
    assert registry.find(other) is found
    assert found.values(other) == [b"b", b'{"x":[1,null]}']
    assert plane.part["method"] == "POST"
    assert registry.find(orders.put("/orders/{id}", Order, id="a")).number == 1
    keyed = orders.post("/orders", Order, json=1, idempotency_key="k-{key}", key="x")
    assert registry.find(keyed).values(keyed) == [b"x", b"1"]
    assert plane.part["idempotency_key"] == [{"text": "k-"}, {"parameter": "key"}]
