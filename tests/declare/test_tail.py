"""The tail type-check: what is refused, allowed and warned about, and that the plane agrees.

req 4.2, 4.3, 4.4: worst times and counts are known before anything runs. The texts that a user
reads are in `mistakes/TR114` to `TR116`.
"""

import json
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace import DeclarationError, Hedge, Raw, Retry, Service, Upstream, View, strong, weak
from tailrace._config import resolve
from tailrace._runtime import check_blueprint
from tailrace._tail import check_tail
from tailrace._worst import in_flight, needs


def part(name: str, *after: str, upstream: str = "up", **more: Any) -> dict[str, Any]:
    path = [{"text": "/"}, *({"part": {"name": one, "field": []}} for one in after)]
    row = {"name": name, "strength": "strong", "upstream": upstream, "method": "GET"}
    return {**row, "path": path, "shape": 0, **more}


def each(of: str, items: int) -> dict[str, Any]:
    return {"part": of, "field": [], "items_max": items}


def stand_in(upstream: str) -> dict[str, Any]:
    return {"upstream": upstream, "path": [{"text": "/"}]}


def blueprint(*parts: dict[str, Any], limit: int = 64, **view: Any) -> dict[str, Any]:
    """Upstreams `up` and `other`, 30 ms each; one view of 100 ms."""
    rows = [
        {"name": name, "addresses": ["http://up:1"], "timeout_ms": 30.0,
         "bulkhead": {"limit": limit}}
        for name in ("up", "other")
    ]  # fmt: skip
    declared = {
        "name": "v", "method": "GET", "path": "/v", "deadline_ms": 100.0, "fanout": 8,
        "extra_attempts": 3, "parameters": [], "parts": list(parts), **view,
    }  # fmt: skip
    shapes = [{"kind": "any"}]
    return {"format_version": 1, "service": "s", "upstreams": rows, "views": [declared],
            "shapes": shapes}  # fmt: skip


def verdicts(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.verdict, one.code) for one in check_tail(found)]


def chain(count: int) -> list[dict[str, Any]]:
    return [part(f"p{n}", *([f"p{n - 1}"] if n else [])) for n in range(count)]


def test_a_chain_may_fill_its_deadline_but_not_overrun_it() -> None:
    assert verdicts(blueprint(*chain(3))) == []
    assert verdicts(blueprint(*chain(3), deadline_ms=90.0)) == []
    assert verdicts(blueprint(*chain(4))) == [("refused", "TR114")]
    (found,) = check_tail(blueprint(*chain(4)))
    assert found.message.endswith("p0 30ms + p1 30ms + p2 30ms + p3 30ms = 120ms > 100ms")
    assert [text for text, _ in found.sums][-1] == "sum: 120ms, deadline: 100ms"
    assert found.helps[0] == 'shorten the timeout of `p0` to "10ms" or less'


def test_each_help_alone_is_enough() -> None:
    rows = [part("a"), part("b", each=each("a", 32))]
    (found,) = check_tail(blueprint(*rows))
    assert found.helps[:3] == (
        'shorten the timeout of `b` to "17ms" or less',
        "or cap the list of `b`: each_max=16 is 2 rounds",
        'or raise the deadline: deadline="150ms"',
    )
    shorter = blueprint(rows[0], {**rows[1], "timeout_ms": 17.0})
    capped = blueprint(rows[0], part("b", each=each("a", 16)))
    later = blueprint(*rows, deadline_ms=150.0)
    assert verdicts(shorter) == verdicts(capped) == verdicts(later) == []
    (found,) = check_tail(blueprint(*chain(9)))
    assert '`p0` "11ms"' in found.helps[0]
    assert verdicts(blueprint(*({**one, "timeout_ms": 11.0} for one in chain(9)))) == []


def test_a_stand_in_takes_its_time_after_the_call_it_stands_in_for() -> None:
    """Of a weak part in the middle: what waits for it waits for both calls."""
    weak = {"strength": "weak", "default": {}, "otherwise": stand_in("other")}
    rows = [part("a"), part("b", "a", **weak), part("c", "b")]
    assert verdicts(blueprint(*rows, deadline_ms=120.0)) == []
    (found,) = check_tail(blueprint(*rows, deadline_ms=119.0))
    assert (found.verdict, found.code) == ("refused", "TR114")
    assert found.message.endswith("a 30ms + b 30ms + its stand-in 30ms + c 30ms = 120ms > 119ms")
    assert found.sums[2] == (
        "its stand-in: 30ms, timeout of upstream `other`",
        "upstreams.other.timeout_ms",
    )
    assert found.helps[0] == 'shorten the timeout of `a` to "29ms" or less'
    found = check_tail(blueprint(*rows, deadline_ms=29.0))[0]
    assert found.helps[0].startswith("shorten the timeouts of what stands in")
    late = blueprint(part("a"), part("b", "a", **weak), deadline_ms=80.0)
    assert verdicts(late) == [("warned", "weak_time")]


def test_a_stand_in_takes_a_place_and_a_turn() -> None:
    weak = {"strength": "weak", "default": {}, "otherwise": stand_in("other")}
    rows = [part("a", upstream="other"), part("b", **weak)]
    assert verdicts(blueprint(*rows, limit=3)) == []
    (found,) = check_tail(blueprint(*rows, limit=2))
    assert (found.verdict, found.code) == ("refused", "TR115")
    assert [text for text, _ in found.sums][:2] == [
        "a: 1 call",
        "b: 1 call, when its own has failed",
    ]
    turns = [part("w", **weak), part("a"), part("b", "a"), part("c", "b", timeout_ms=20.0)]
    assert verdicts(blueprint(*turns, fanout=2)) == []
    assert verdicts(blueprint(*turns, fanout=1)) == [("warned", "turns")]


@pytest.mark.parametrize(
    ("limit", "code"), [(9, []), (8, [("refused", "TR115")]), (1, [("refused", "TR115")])]
)
def test_one_request_leaves_a_place(limit: int, code: list[Any]) -> None:
    rows = [part("a", upstream="other"), part("b", each=each("a", 8))]
    assert verdicts(blueprint(*rows, limit=limit)) == code


def test_a_bulkhead_of_one_may_serve_one_call_at_a_time() -> None:
    assert verdicts(blueprint(part("a"), limit=1)) == []
    assert verdicts(blueprint(part("a"), part("b", "a"), limit=1)) == []
    assert verdicts(blueprint(part("a"), part("b"), limit=1)) == [("refused", "TR115")]


def test_a_reason_allows_both_and_needs_something_to_allow() -> None:
    over = blueprint(*chain(4), part("x"), limit=2, allow_overcommit="because")
    assert verdicts(over) == [("allowed", "TR114"), ("allowed", "TR115")]
    assert verdicts(blueprint(part("a"), allow_overcommit="because")) == [("warned", "overcommit")]


def test_what_only_may_not_fit_is_warned_about() -> None:
    late = part("late", "p2", strength="weak", default={})
    assert verdicts(blueprint(*chain(3), late)) == [("warned", "weak_time")]
    wide = [part(f"p{n}") for n in range(4)]
    assert verdicts(blueprint(*wide, fanout=1)) == [("warned", "turns")]
    assert verdicts(blueprint(*wide, fanout=2)) == []
    tried = blueprint(part("a"))
    retry = {"attempts": 3, "backoff_ms": 5.0, "backoff_max_ms": 8.0, "attempt_timeout_ms": 6.0}
    tried["upstreams"][0]["retry"] = retry
    assert verdicts(tried) == [("warned", "retries")], "18 + 5 + 8 > 30"
    retry["backoff_max_ms"] = 5.0
    assert verdicts(tried) == []
    raced = blueprint(part("a", timeout_ms=5.0))
    raced["upstreams"][0]["hedge"] = {"delay_min_ms": 5.0}
    assert verdicts(raced) == [("warned", "hedges")]
    raced["upstreams"][0]["hedge"]["delay_min_ms"] = 4.0
    raced["views"][0]["extra_attempts"] = 0
    assert verdicts(raced) == [("warned", "purse")]


def test_an_override_cannot_break_the_promise_in_silence() -> None:
    up = Upstream("up", "http://up:1", timeout="80ms", retry=Retry(attempt_timeout="20ms"))

    class Test(View):
        first: Raw = strong(up.get("/1"))
        more: Raw | None = weak(up.get("/2"))

    service = Service("test", deadline="100ms")
    service.view("/t", name="test")(Test)
    for name, value, code in (
        ("TAILRACE_UPSTREAMS_UP_TIMEOUT", "101ms", "TR114"),
        ("TAILRACE_VIEWS_TEST_DEADLINE", "79ms", "TR114"),
        ("TAILRACE_UPSTREAMS_UP_BULKHEAD", "2", "TR115"),
        ("TAILRACE_VIEWS_TEST_ALLOW_OVERCOMMIT", " ", "TR116"),
    ):
        with pytest.raises(DeclarationError) as caught:
            resolve(service, environ={name: value})
        assert [one.code for one in caught.value.problems] == [code]
        assert f"env {name}" in str(caught.value) or name in str(caught.value)
    why = {"TAILRACE_VIEWS_TEST_ALLOW_OVERCOMMIT": "a test"}
    found = resolve(service, environ={"TAILRACE_UPSTREAMS_UP_BULKHEAD": "2", **why}).blueprint
    assert found["views"][0]["allow_overcommit"] == "a test"
    assert check_blueprint(json.dumps(found).encode()) == []


def test_hedges_and_retries_are_within_their_call() -> None:
    """They need no time of their own in the sum."""
    up = Upstream("up", "http://up:1", timeout="100ms", hedge=Hedge(), retry=Retry(attempts=5))

    class Test(View):
        first: Raw = strong(up.get("/1"))

    service = Service("test", deadline="100ms")
    service.view("/t", name="test")(Test)
    assert check_tail(service.blueprint()) == []


@st.composite
def views(draw: st.DrawFn) -> dict[str, Any]:
    """Parts that wait for earlier ones, some of them lists."""
    rows: list[dict[str, Any]] = []
    for n in range(draw(st.integers(1, 6))):
        names = [row["name"] for row in rows]
        after = draw(st.lists(st.sampled_from(names), unique=True, max_size=3)) if names else []
        row = part(f"p{n}", *after, upstream=draw(st.sampled_from(["up", "other"])))
        if after and draw(st.booleans()):
            row["each"] = each(after[0], draw(st.integers(1, 12)))
        if draw(st.booleans()):
            row |= {"strength": "weak", "default": {}}
            if "each" not in row and draw(st.booleans()):
                row["otherwise"] = stand_in("up" if row["upstream"] == "other" else "other")
        row["timeout_ms"] = float(draw(st.integers(1, 60)))
        rows.append(row)
    limit, fanout = draw(st.integers(1, 16)), draw(st.integers(1, 9))
    return blueprint(*rows, limit=limit, fanout=fanout)


@given(views())
def test_the_plane_refuses_the_same(found: dict[str, Any]) -> None:
    """Both sides add up alike: no declaration passes here and is refused there, or the reverse."""
    ours = sorted(one.code for one in check_tail(found) if one.verdict == "refused")
    theirs = check_blueprint(json.dumps(found).encode())
    fields = {"deadline_ms": "TR114", "fanout": "TR115"}
    assert sorted(fields[path.rpartition(".")[2]] for path, _, _ in theirs) == ours


@given(views())
def test_calls_in_flight_are_the_heaviest_parts_that_do_not_wait(found: dict[str, Any]) -> None:
    """The flow agrees with trying every set of parts."""
    view = found["views"][0]
    parts = view["parts"]
    before: dict[str, set[str]] = {}
    for row in parts:
        direct = needs(row)
        before[row["name"]] = direct.union(*(before[one] for one in direct))
    for upstream, most in in_flight(view).items():
        other = [row for row in parts if row.get("otherwise", {}).get("upstream") == upstream]
        mine = [row for row in parts if row["upstream"] == upstream] + other
        weights = [
            sum(row["each"]["items_max"] if row.get("each") else 1 for row in chosen)
            for size in range(1, len(mine) + 1)
            for chosen in combinations(mine, size)
            if not any(
                a["name"] in before[b["name"]] or b["name"] in before[a["name"]]
                for a, b in combinations(chosen, 2)
            )
        ]
        assert most == min(max(weights), view["fanout"])
