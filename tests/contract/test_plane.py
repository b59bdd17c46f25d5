"""What Python lowers, the plane runs; what the plane does not know, it refuses with a path."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tailrace._runtime import check_blueprint

from tests.contract.everything import service


def problems(blueprint: dict[str, Any]) -> list[tuple[str, str, str]]:
    return check_blueprint(json.dumps(blueprint).encode())


def test_a_declaration_of_every_kind_is_accepted() -> None:
    assert problems(service.blueprint()) == []


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ((), "surprise"),
        (("upstreams", 0), "retries"),
        (("upstreams", 0, "retry"), "tries"),
        (("upstreams", 0, "hedge"), "before"),
        (("upstreams", 0, "breaker"), "fuse"),
        (("upstreams", 0, "throttle"), "share"),
        (("upstreams", 0, "adaptive"), "max"),
        (("upstreams", 0, "bulkhead"), "limits"),
        (("upstreams", 0, "rate"), "window"),
        (("admission",), "limit"),
        (("admission", "rate"), "window"),
        (("admission", "shed"), "memory"),
        (("admission", "brownout"), "order"),
        (("admission", "feasibility"), "floor"),
        (("admission", "priorities", 0), "class"),
        (("views", 0, "rate"), "window"),
        (("views", 0), "timeout"),
        (("views", 0, "parts", 0), "optional"),
        (("views", 0, "parameters", 0), "type"),
    ],
)
def test_an_unknown_field_is_refused_by_name(path: tuple[str | int, ...], key: str) -> None:
    blueprint = copy.deepcopy(service.blueprint())
    target: Any = blueprint
    for step in path:
        target = target[step]
    target[key] = 1
    found = problems(blueprint)
    assert len(found) == 1
    assert key in found[0][1]


def test_a_broken_reference_is_refused_with_its_path() -> None:
    blueprint = copy.deepcopy(service.blueprint())
    blueprint["views"][0]["parts"][0]["upstream"] = "nobody"
    found = problems(blueprint)
    assert any(path == "views[0].parts[0].upstream" for path, _, _ in found)
