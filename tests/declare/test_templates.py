"""Templates are structure: text and references, split exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace.templates import Literal, Reference, TemplateError, parse, references


def pieces(template: str) -> list[str | tuple[str, ...]]:
    return [one.text if isinstance(one, Literal) else one.names for one in parse(template)]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", []),
        ("/orders", ["/orders"]),
        ("/o/{id}", ["/o/", ("id",)]),
        ("{a}{b.c}", [("a",), ("b", "c")]),
        ("/o/{order.user.id}/x", ["/o/", ("order", "user", "id"), "/x"]),
        ("{{not}}", ["{not}"]),
        ("{{{a}}}", ["{", ("a",), "}"]),
        ("{item}", [("item",)]),
        ("{order.user-id}", [("order", "user-id")]),
    ],
)
def test_a_template_splits(template: str, expected: list[str | tuple[str, ...]]) -> None:
    assert pieces(template) == expected


@pytest.mark.parametrize(
    ("template", "start", "end"),
    [
        ("/o/{id", 3, 6),
        ("/o/id}", 5, 6),
        ("{}", 0, 2),
        ("{1}", 0, 3),
        ("{a.}", 0, 4),
        ("{a!r}", 0, 5),
        ("{a:03}", 0, 6),
        ("{a b}", 0, 5),
        ("{a[0]}", 0, 6),
    ],
)
def test_what_is_no_template_says_where(template: str, start: int, end: int) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(template)
    assert (caught.value.start, caught.value.end) == (start, end)
    assert caught.value.hint


@given(st.text(max_size=40))
def test_escaped_text_is_one_literal(text: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert "".join(one.text for one in parse(escaped)) == text
    assert references(escaped) == []


@given(st.text(max_size=40))
def test_spans_cover_the_template_in_order(template: str) -> None:
    """Nothing is lost between the pieces: what stands at each span is what was read."""
    try:
        found = parse(template)
    except TemplateError:
        return
    at = 0
    for one in found:
        assert one.start == at
        if isinstance(one, Reference):
            assert template[one.start : one.end] == "{" + one.text + "}"
        at = one.end
    assert at == len(template)
