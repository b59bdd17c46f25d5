"""Breakers, throttles and adaptive limits: what is on, what is fitted, where values came from.

req 9.1b, 16.4: nonsense is refused where it stands (`mistakes/TR031` to `TR033`).
"""

from pathlib import Path
from typing import Any

import pytest
from tailrace import (
    AdaptiveLimit,
    Breaker,
    DeclarationError,
    Raw,
    Service,
    Throttle,
    Upstream,
    View,
    strong,
)
from tailrace._config import resolve
from tailrace._lower import build


def service_of(upstream: Upstream) -> Service:
    service = Service("test", deadline="1s")

    @service.view("/t")
    class TView(View):
        it: Raw = strong(upstream.get("/x"))

    return service


def lowered(**policies: Any) -> dict[str, Any]:
    service = service_of(Upstream("up", "http://up:1", **policies))
    return service.blueprint()["upstreams"][0]


def codes(service: Service, **how: Any) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        resolve(service, **how)
    return [problem.code for problem in caught.value.problems]


def test_breaker_and_throttle_are_on_and_the_adaptive_limit_is_off() -> None:
    """ALGORITHMS 6: both act only on an upstream in trouble; a limit acts from the first call."""
    plain = lowered()
    assert plain["breaker"] == {
        "consecutive": 7,
        "success_min": 0.5,
        "samples_min": 20,
        "open_ms": 1_000.0,
        "open_max_ms": 60_000.0,
    }
    assert plain["throttle"] == {"factor": 2.0, "requests_min": 50, "reject_max": 0.9}
    assert "adaptive" not in plain
    assert not {"breaker", "throttle"} & set(lowered(breaker=None, throttle=None))
    assert lowered(adaptive=AdaptiveLimit())["adaptive"] == {"min": 4, "init": 20}


def test_where_a_limit_begins_is_fitted_to_the_bulkhead_unless_it_was_said() -> None:
    assert lowered(bulkhead=10, adaptive=AdaptiveLimit())["adaptive"]["init"] == 10
    assert lowered(bulkhead=80, adaptive=AdaptiveLimit(min=30))["adaptive"]["init"] == 30
    service = service_of(
        Upstream("up", "http://up:1", bulkhead=10, adaptive=AdaptiveLimit(init=11))
    )
    assert codes(service) == ["TR033"]


def test_a_bulkhead_from_the_environment_is_judged_against_the_declared_limit() -> None:
    service = service_of(Upstream("up", "http://up:1", adaptive=AdaptiveLimit(min=8, init=9)))
    assert codes(service, environ={"TAILRACE_UPSTREAMS_UP_BULKHEAD": "8"}) == ["TR033"]


def test_a_timeout_from_the_environment_is_judged_against_the_declared_slow() -> None:
    service = service_of(Upstream("up", "http://up:1", breaker=Breaker(slow="50ms")))
    assert codes(service, environ={"TAILRACE_UPSTREAMS_UP_TIMEOUT": "50ms"}) == ["TR031"]


def test_several_mistakes_of_one_guard_are_all_told() -> None:
    breaker = Breaker(consecutive=0, success_min=7, slow=3, open="0s")  # type: ignore[arg-type]
    throttle = Throttle(factor=0, requests_min=-1, reject_max=2)
    service = service_of(Upstream("up", "http://up:1", breaker=breaker, throttle=throttle))
    assert codes(service) == ["TR031", "TR018", "TR001", "TR003", "TR032", "TR032", "TR018"]


def test_a_factor_is_a_number_and_nothing_else() -> None:
    assert lowered(throttle=Throttle(factor=3))["throttle"]["factor"] == 3.0
    for wrong in (True, float("nan"), float("inf"), "2"):
        service = service_of(
            Upstream("up", "http://up:1", throttle=Throttle(factor=wrong))  # type: ignore[arg-type]
        )
        assert codes(service) == ["TR032"], wrong
    service = service_of(Upstream("up", "http://up:1"))
    for text in ("two", "nan", "11"):
        environ = {"TAILRACE_UPSTREAMS_UP_THROTTLE_FACTOR": text}
        assert codes(service, environ=environ) == ["TR032"], text


@pytest.mark.parametrize("word", ["breaker", "throttle", "adaptive"])
def test_a_guard_is_switched_by_a_file_whatever_the_code_says(word: str, tmp_path: Path) -> None:
    """An operator who switches a guard off during an incident is not overruled."""
    path = tmp_path / "tailrace.toml"
    on: dict[str, Any] = {
        "breaker": Breaker(consecutive=3),
        "throttle": Throttle(factor=3.0),
        "adaptive": AdaptiveLimit(min=5),
    }
    path.write_text(f'[upstreams.up]\n{word} = "off"\n')
    declared = service_of(Upstream("up", "http://up:1", **{word: on[word]}))
    resolved = resolve(declared, str(path))
    assert word not in resolved.blueprint["upstreams"][0]
    assert resolved.origin(f"upstreams.up.{word}").endswith("tailrace.toml:2")
    path.write_text(f'[upstreams.up]\n{word} = "on"\n')
    without = service_of(Upstream("up", "http://up:1", **{word: None}))
    assert word in resolve(without, str(path)).blueprint["upstreams"][0]


def test_values_of_a_guard_know_where_they_came_from() -> None:
    origins = build(
        service_of(Upstream("up", "http://up:1", breaker=Breaker(consecutive=3), throttle=None))
    ).origins
    assert origins["upstreams.up.breaker.consecutive"].startswith("code ")
    assert origins["upstreams.up.breaker.open_ms"] == "default"
    assert origins["upstreams.up.throttle"].startswith("code ")
    assert origins["upstreams.up.adaptive"] == "default"
