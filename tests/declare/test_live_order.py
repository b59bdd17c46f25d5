"""What a file may say of handlers and of the order in which parts go: `limit` and `drop` of a view.

Prevents an order that protects nothing because it names a part that is never left out (req 9.1c).
"""

from pathlib import Path
from typing import Any

import pytest
import shop
from tailrace import DeclarationError, Raw, Scope, Service, Upstream, View, strong, weak
from tailrace._config import resolve

one = Upstream("one", "http://one:1", timeout="90ms")
service = Service("live", deadline="150ms")


@service.view("/parts/{id}")
class PartsView(View):
    it: Raw = strong(one.get("/it/{id}"))
    first: Raw | None = weak(one.get("/first/{id}"), drop=3)
    second: Raw | None = weak(one.get("/second/{id}"))
    third: Raw | None = weak(one.get("/third/{id}"), drop=1)


@service.get("/handled/{id}", limit=7)
async def handled(id: str, scope: Scope) -> bytes:
    return b"{}"


def resolved(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None) -> Any:
    path = tmp_path / "tailrace.toml"
    path.write_text(text)
    return resolve(service, str(path), environ)


def drops(found: Any) -> dict[str, int]:
    parts = found.blueprint["views"][0]["parts"]
    return {part["name"]: part["drop"] for part in parts if "drop" in part}


def test_the_code_says_places_and_a_file_the_whole_order(tmp_path: Path) -> None:
    assert drops(resolved(tmp_path)) == {"first": 3, "third": 1}
    found = resolved(tmp_path, '[views.parts]\ndrop = ["second", "first"]\n')
    assert drops(found) == {"second": 1, "first": 2}
    assert found.origin("views.parts.parts.second.drop").endswith("tailrace.toml:2")
    environ = {"TAILRACE_VIEWS_PARTS_DROP": "third, second"}
    assert drops(resolved(tmp_path, environ=environ)) == {"third": 1, "second": 2}
    assert drops(resolved(tmp_path, "[views.parts]\ndrop = []\n")) == {}


def test_a_handlers_limit_is_set_from_outside(tmp_path: Path) -> None:
    key = "views.handled.handler.limit"
    found = resolved(tmp_path)
    assert found.blueprint["views"][1]["handler"] == {"limit": 7}
    assert found.origin(key).startswith("code ")
    found = resolved(tmp_path, "[views.handled]\nlimit = 9\n")
    assert found.blueprint["views"][1]["handler"] == {"limit": 9}
    assert found.origin(key).endswith("tailrace.toml:2")


@pytest.mark.parametrize(
    ("text", "code", "message", "help_"),
    [
        ("parts]\ndrop = ['secnd']", "TR094", "`secnd`, which is no weak part", "`second`?"),
        ("parts]\ndrop = ['it']", "TR094", "`it`, which is no weak part", "weak parts: `first`"),
        ("parts]\ndrop = ['first', 'first']", "TR094", "`first` twice", "name each part once"),
        ("handled]\ndrop = ['it']", "TR094", "handler `handled` names `it`", "take it out"),
        ("handled]\nlimit = 0", "TR143", "limit of handler `handled` cannot be 0", "from 1 to"),
        ("parts]\nlimit = 9", "TR143", "`parts` is no handler", "`computed.limit`"),
    ],
)
def test_what_protects_nothing_is_refused_at_its_line(
    tmp_path: Path, text: str, code: str, message: str, help_: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        resolved(tmp_path, f"[views.{text}\n")
    (problem,) = caught.value.problems
    assert problem.code == code
    assert message in problem.message
    assert help_ in " ".join(problem.helps)
    assert problem.place is not None
    assert problem.place.line == 2


def test_a_view_without_either_is_as_it_was(tmp_path: Path) -> None:
    (view,) = resolve(shop.service).blueprint["views"]
    assert "handler" not in view
    assert not any("drop" in part for part in view["parts"])
