"""Values of the wrong kind are findings, not tracebacks through the library.

A type checker would have seen most of these; many users have none.
"""

from typing import Any, Generic, TypeVar

import pytest
from pydantic import AliasPath, BaseModel, Field
from tailrace import DeclarationError, Raw, Service, Upstream, View, path, strong, weak

up = Upstream("up", "http://up:1")
Held = TypeVar("Held")


def codes(service: Service) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        service.blueprint()
    assert caught.value.render()
    return [problem.code for problem in caught.value.problems]


def with_view(cls: Any, route: Any = "/t", **options: Any) -> Service:
    service = Service("test", deadline="1s")
    service.view(route, **options)(cls)
    return service


def with_part(annotation: Any, value: Any) -> Service:
    body = {"__annotations__": {"part": annotation}, "part": value}
    return with_view(type("Test", (View,), body))


class Plain(View):
    part: Raw = strong(up.get("/x"))


ANYTHING: list[Any] = [None, 5, 1.5, True, b"x", object(), {}, []]


@pytest.mark.parametrize("value", ANYTHING, ids=repr)
def test_any_address(value: Any) -> None:
    broken = Upstream("broken", value)
    assert codes(with_part(Raw, strong(broken.get("/x"))))[0] in ("TR010", "TR011")


@pytest.mark.parametrize("value", [5, object(), {1: 2}, [None]], ids=repr)
def test_any_forwarded_headers(value: Any) -> None:
    broken = Upstream("broken", "http://b:1", forward_headers=value)
    assert codes(with_part(Raw, strong(broken.get("/x")))) == ["TR013"]


@pytest.mark.parametrize("value", ANYTHING, ids=repr)
def test_any_name(value: Any) -> None:
    if value is not None:  # Which asks for the class's name.
        assert codes(with_view(Plain, name=value)) == ["TR004"]
    assert codes(with_part(Raw, strong(Upstream(value, "http://b:1").get("/x")))) == ["TR004"]


@pytest.mark.parametrize("value", ANYTHING, ids=repr)
def test_any_route(value: Any) -> None:
    assert codes(with_view(Plain, value)) == ["TR020"]


@pytest.mark.parametrize("value", ANYTHING, ids=repr)
def test_any_path_of_a_call(value: Any) -> None:
    assert codes(with_part(Raw, strong(up.get(value)))) == ["TR050"]


@pytest.mark.parametrize("value", [5, True, b"x", object(), [], "one two"], ids=repr)
def test_any_each(value: Any) -> None:
    assert codes(with_part(list[Raw], strong(up.get("/x"), each=value))) == ["TR107"]


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "64", 1 << 16], ids=repr)
def test_any_count(value: Any) -> None:
    assert codes(with_view(Plain, fanout=value)) == ["TR015"]


@pytest.mark.parametrize("value", ANYTHING[1:], ids=repr)
def test_any_timeout(value: Any) -> None:
    found = codes(with_part(Raw, strong(up.get("/x"), timeout=value)))
    assert found[0] in ("TR001", "TR002")


@pytest.mark.parametrize("value", [5, "Plain", object(), Plain, lambda: None], ids=repr)
def test_any_call(value: Any) -> None:
    assert codes(with_part(Raw, strong(value))) == ["TR100"]


def test_a_decorated_function() -> None:
    def summary() -> None: ...

    assert codes(with_view(summary)) == ["TR030"]


@pytest.mark.parametrize("annotation", [5, "1/0", "Missing", "list["], ids=repr)
def test_any_annotation(annotation: Any) -> None:
    assert codes(with_part(annotation, strong(up.get("/x"))))[0] in ("TR028", "TR124")


def test_a_type_that_cannot_be_built_is_reported_once() -> None:
    """Its default is not checked against it, nor is a fallback demanded."""

    class Odd:
        pass

    assert codes(with_part(Odd, weak(up.get("/x")))) == ["TR124"]
    assert codes(with_part(Odd, weak(up.get("/x"), default=Odd()))) == ["TR124"]


def test_a_type_whose_schema_raises() -> None:
    class Hostile:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            raise RuntimeError("boom")

    assert codes(with_part(Hostile, strong(up.get("/x")))) == ["TR124"]


def test_a_default_factory_that_raises() -> None:
    class Model(BaseModel):
        x: int = Field(default_factory=lambda: 1 // 0)

    assert codes(with_part(Model, strong(up.get("/x")))) == ["TR125"]


def test_an_alias_path_with_an_index() -> None:
    class Model(BaseModel):
        x: int = Field(validation_alias=AliasPath("xs", 0))

    assert codes(with_part(Model, strong(up.get("/x")))) == ["TR123"]


def test_the_line_of_a_generic_models_field_is_found() -> None:
    with pytest.raises(DeclarationError) as caught:
        with_part(Box[int], strong(up.get("/x"))).blueprint()
    place = caught.value.problems[0].place
    assert place is not None
    assert place.file == __file__


class Box(BaseModel, Generic[Held]):
    held: Held
    blob: bytes


def test_two_names_that_are_one_variable() -> None:
    service = with_view(Plain, "/a", name="a-b")
    service.view("/b", name="a_b")(Plain)
    assert codes(service) == ["TR006"]


def test_code_without_source_still_names_file_and_line() -> None:
    """As in an interactive session: no frame, but no crash."""
    code = (
        "service = Service('typed in', deadline='1s')\n"
        "up = Upstream('up', 'up:1', timeout=80)\n"
        "@service.view('/t/{id}')\n"
        "class Test(View):\n"
        "    id: str = path()\n"
        "    part: Raw = strong(up.get('/x/{di}'))\n"
    )
    scope: dict[str, Any] = {
        "__name__": "typed",
        "Service": Service,
        "Upstream": Upstream,
        "View": View,
        "path": path,
        "strong": strong,
        "Raw": Raw,
    }
    exec(compile(code, "<typed>", "exec"), scope)
    with pytest.raises(DeclarationError) as caught:
        scope["service"].blueprint()
    assert {p.code for p in caught.value.problems} == {"TR004", "TR010", "TR001", "TR051"}
    assert "<typed>:2" in caught.value.render()
