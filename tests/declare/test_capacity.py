"""The figures of the article, from the formulas that `tailrace explain --rate` prints."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from tailrace import DeclarationError, Service, Upstream, View, strong
from tailrace._worst import calls_in_flight, contexts_per_second, worst_cases


def test_a_task_per_call_is_96_000_contexts_a_second() -> None:
    """req 4.1"""
    assert contexts_per_second(8_000, 12) == 96_000


def test_explain_prints_it_for_a_view() -> None:
    """req 4.1"""
    from tailrace.cli.explain.rate import render

    things = Upstream("things", "http://127.0.0.1:1", timeout="40ms")
    service = Service("s", deadline="1s")

    class Wide(BaseModel):
        items: list[Thing]

    @service.view("/wide/{id}")
    class WideView(View):
        wide: Wide = strong(things.get("/wide/{id}"))
        each: list[Thing] = strong(things.get("/things/{item.id}"), each="wide.items", each_max=11)

    text = render(service.blueprint(), 8_000)
    assert "96 000 task contexts a second" in text
    assert "things: at most 3 840 in flight" in text


def test_little_sizes_what_is_in_flight() -> None:
    """req 9.3"""
    assert calls_in_flight(6_000, 40) == 240
    assert calls_in_flight(6_000, 40, calls=4) == 960


class Thing(BaseModel):
    id: str


@pytest.mark.parametrize("fanout", [0, -1])
def test_a_fan_out_without_a_limit_cannot_be_declared(fanout: int) -> None:
    """req 4.2: there is no value that means "no limit", and leaving it out takes a default."""
    things = Upstream("things", "http://127.0.0.1:1")
    service = Service("s", deadline="1s", fanout=fanout)

    @service.view("/things/{id}")
    class ThingView(View):
        thing: Thing = strong(things.get("/things/{id}"))

    with pytest.raises(DeclarationError):
        service.blueprint()


def test_a_fan_out_over_a_list_is_capped_even_when_nothing_is_said() -> None:
    """req 4.2: the cap of `each=` has a default and counts in the worst case."""
    things = Upstream("things", "http://127.0.0.1:1", timeout="50ms")
    service = Service("s", deadline="1s")

    class Many(BaseModel):
        items: list[Thing]

    @service.view("/many/{id}")
    class ManyView(View):
        many: Many = strong(things.get("/many/{id}"))
        each: list[Thing] = strong(things.get("/things/{item.id}"), each="many.items")

    blueprint = service.blueprint()
    assert blueprint["views"][0]["parts"][1]["each"]["items_max"] == 64
    assert 1 <= blueprint["views"][0]["fanout"] <= 64
    assert worst_cases(blueprint)[0].calls_max == 65
