"""The worst case of a view, from its blueprint alone."""

from typing import Any

import pytest
import shop
from tailrace._worst import needs, rounds, stages, worst_cases


def part(name: str, *after: str, **more: Any) -> dict[str, Any]:
    path = [{"text": "/"}, *({"part": {"name": one, "field": ["id"]}} for one in after)]
    return {"name": name, "strength": "strong", "upstream": "up", "path": path, **more}


def worst(*parts: dict[str, Any], fanout: int = 8, deadline: float = 100.0) -> Any:
    view = {
        "name": "v",
        "deadline_ms": deadline,
        "fanout": fanout,
        "extra_attempts": 3,
        "parts": list(parts),
    }
    upstreams = [{"name": "up", "timeout_ms": 30.0}]
    return worst_cases({"upstreams": upstreams, "views": [view]})[0]


def test_the_order_example() -> None:
    (found,) = worst_cases(shop.service.blueprint())
    assert found.stages == (("order",), ("user", "stock", "coupon", "recommend"))
    assert found.strong_chain == ("order", "user")
    assert found.strong_ms == 80 + 60  # `stock` takes 50 ms: 8 items, 8 at a time.
    assert found.over_ms == 0
    assert found.calls_max == 1 + 1 + 8 + 1 + 1
    assert found.calls_by_upstream["inventory"] == 8
    assert found.in_flight_by_upstream["inventory"] == 8


def test_parts_without_references_start_together() -> None:
    found = worst(part("a"), part("b"))
    assert found.stages == (("a", "b"),)
    assert (found.strong_ms, found.over_ms) == (30.0, 0.0)


def test_a_chain_adds_up_and_the_longest_wins() -> None:
    found = worst(part("a"), part("b", "a"), part("c", "b", timeout_ms=50.0), part("d", "a"))
    assert found.strong_chain == ("a", "b", "c")
    assert found.strong_ms == 110.0
    assert found.over_ms == 10.0


def test_a_weak_part_at_the_end_does_not_count() -> None:
    found = worst(part("a"), part("b", "a", strength="weak", timeout_ms=500.0))
    assert found.strong_chain == ("a",)


def test_references_in_query_and_headers_count() -> None:
    value = [{"part": {"name": "a", "field": []}}]
    assert needs(part("b", query=[{"name": "q", "value": value}])) == {"a"}
    assert needs(part("b", headers=[{"name": "h", "value": value}])) == {"a"}


def test_a_view_of_nothing_strong_has_no_chain() -> None:
    assert worst(part("a", strength="weak")).strong_chain == ()


def test_a_list_longer_than_the_fanout_takes_turns() -> None:
    each = part("a", each={"part": "x", "field": [], "items_max": 9})
    assert [rounds(each, fanout) for fanout in (1, 4, 9, 64)] == [9, 3, 1, 1]


def test_a_cycle_is_an_error_not_a_loop() -> None:
    with pytest.raises(ValueError, match="a, b"):
        stages([part("a", "b"), part("b", "a")])
