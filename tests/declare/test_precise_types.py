"""What a reply may hold is declared, or said to be anything with `Raw` (req 6.2).

The failure prevented: a part whose type says nothing, through which an upstream's undeclared fields
reach clients. Whatever way of writing "anything" there is must be refused where it is a part's
type; `Raw` is the word for JSON that passes as it came.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from tailrace import DeclarationError, Raw, Service, Upstream, View, strong

up = Upstream("up", "http://up:1")


class Item(BaseModel):
    sku: str


def declared(annotation: Any) -> dict[str, Any]:
    """The blueprint of a service whose only part has this type."""
    service = Service("typed", deadline="1s")
    body = {"__annotations__": {"part": annotation}, "part": strong(up.get("/x"))}
    service.view("/x")(type("Typed", (View,), {"__module__": __name__, **body}))
    return service.blueprint()


# req 6.2
@pytest.mark.parametrize(
    "annotation",
    [Any, dict[str, Any], list[Any], list[dict[str, Any]], Any | None, object, dict, list],
    ids=str,
)
def test_a_part_that_could_be_anything_is_refused(annotation: Any) -> None:
    with pytest.raises(DeclarationError) as caught:
        declared(annotation)
    (problem,) = caught.value.problems
    assert problem.code == "TR110"
    assert "Raw" in caught.value.render()


# req 6.2
def test_what_is_declared_is_all_that_is_let_through() -> None:
    blueprint = declared(Item)
    (part,) = blueprint["views"][0]["parts"]
    shape = blueprint["shapes"][part["shape"]]
    assert (shape["kind"], shape["extra"]) == ("object", "drop")
    assert [field["name"] for field in shape["fields"]] == ["sku"]


def test_raw_says_that_anything_is_meant() -> None:
    blueprint = declared(Raw)
    (part,) = blueprint["views"][0]["parts"]
    assert blueprint["shapes"][part["shape"]]["kind"] == "any"
