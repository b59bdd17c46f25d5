"""Retries and hedges: what is declared, what is fitted, and the worst case they make.

req 9.4: attempts, waits and budgets always have a bound, and nonsense is refused where it stands
(`mistakes/TR016` to `TR019`).
"""

from pathlib import Path
from typing import Any

import pytest
from tailrace import DeclarationError, Hedge, Raw, Retry, Service, Upstream, View, strong, weak
from tailrace._config import resolve
from tailrace._lower import build
from tailrace._worst import worst_cases


def service_of(*upstreams: Upstream, **limits: Any) -> Service:
    """One view with one part of each upstream."""
    service = Service("test", deadline="1s", **limits)
    parts = {one.name: strong(one.get("/x")) for one in upstreams}
    annotations = dict.fromkeys(parts, Raw)
    service.view("/t", name="test")(type("T", (View,), {**parts, "__annotations__": annotations}))
    return service


def lowered(upstream: Upstream) -> dict[str, Any]:
    return service_of(upstream).blueprint()["upstreams"][0]


def test_one_retry_and_no_hedge_unless_told_otherwise() -> None:
    """ALGORITHMS 4 and 5: a retry within its budget is on by default, hedging is asked for."""
    plain = lowered(Upstream("up", "http://up:1"))
    assert plain["retry"]["attempts"] == 2
    assert "hedge" not in plain
    assert "retry" not in lowered(Upstream("up", "http://up:1", retry=None))
    assert lowered(Upstream("up", "http://up:1", hedge=Hedge()))["hedge"]["after"] == 0.95


@pytest.mark.parametrize(
    ("written", "share"),
    [("10%", 0.1), (0.1, 0.1), ("0.1", 0.1), (1, 1.0), (0, 0.0), ("0.1%", 0.001)],
)
def test_a_share_is_per_cent_or_a_number_up_to_one(written: Any, share: float) -> None:
    found = lowered(Upstream("up", "http://up:1", retry=Retry(budget=written)))
    assert found["retry"]["budget"] == share


@pytest.mark.parametrize(("written", "after"), [("p50", 0.5), ("p95", 0.95), ("P99.9", 0.999)])
def test_a_percentile_is_exactly_the_share_below_it(written: str, after: float) -> None:
    """No rounding error of a division reaches the plane's own range check."""
    assert (
        lowered(Upstream("up", "http://up:1", hedge=Hedge(after=written)))["hedge"]["after"]
        == after
    )


def test_a_short_timeout_shortens_the_wait_that_nobody_declared() -> None:
    found = lowered(Upstream("up", "http://up:1", timeout="8ms"))
    assert (found["retry"]["backoff_ms"], found["retry"]["backoff_max_ms"]) == (4.0, 100.0)
    with pytest.raises(DeclarationError, match="TR016"):
        lowered(Upstream("up", "http://up:1", timeout="8ms", retry=Retry(attempts=2)))


def test_a_timeout_from_the_environment_is_judged_against_the_declared_wait() -> None:
    service = service_of(Upstream("up", "http://up:1", retry=Retry(backoff="50ms")))
    with pytest.raises(DeclarationError) as caught:
        resolve(service, environ={"TAILRACE_UPSTREAMS_UP_TIMEOUT": "40ms"})
    assert [problem.code for problem in caught.value.problems] == ["TR016"]


def test_several_mistakes_of_one_policy_are_all_told() -> None:
    retry = Retry(attempts=9, backoff=10, budget=10, budget_min=-1)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError) as caught:
        lowered(Upstream("up", "http://up:1", retry=retry))
    assert [one.code for one in caught.value.problems] == ["TR001", "TR016", "TR018", "TR016"]


@pytest.mark.parametrize("wait", ["0.5us", "0us"])
def test_a_wait_below_the_clock_is_refused(wait: str) -> None:
    with pytest.raises(DeclarationError, match=r"TR0(16|03)"):
        lowered(Upstream("up", "http://up:1", retry=Retry(backoff=wait)))
    with pytest.raises(DeclarationError, match=r"TR0(17|03)"):
        lowered(Upstream("up", "http://up:1", hedge=Hedge(delay_min=wait)))


def test_the_wait_above_its_most_is_shown_at_the_one_that_was_written() -> None:
    service = service_of(Upstream("up", "http://up:1"))
    with pytest.raises(DeclarationError) as caught:
        resolve(service, environ={"TAILRACE_UPSTREAMS_UP_RETRY_BACKOFF_MAX": "5ms"})
    (problem,) = caught.value.problems
    assert problem.place is not None
    assert problem.place.file.endswith("TAILRACE_UPSTREAMS_UP_RETRY_BACKOFF_MAX")


def test_an_override_turns_on_what_the_code_left_off(tmp_path: Path) -> None:
    """A key that is accepted does something (the promise of every option)."""
    path = tmp_path / "tailrace.toml"
    service = service_of(Upstream("up", "http://up:1", retry=None))
    path.write_text('[upstreams.up]\nretry.attempts = 3\nhedge = "on"\n')
    found = resolve(service, str(path)).blueprint["upstreams"][0]
    assert (found["retry"]["attempts"], found["hedge"]["after"]) == (3, 0.95)
    path.write_text("[upstreams.up]\nhedge = false\n")
    service = service_of(Upstream("up", "http://up:1", hedge=Hedge()))
    assert "hedge" not in resolve(service, str(path)).blueprint["upstreams"][0]


def test_a_policy_that_is_off_stays_off_whatever_else_is_set() -> None:
    """An operator who switches retries off during an incident is not overruled by a file."""
    service = service_of(Upstream("up", "http://up:1", retry=Retry(attempts=3)))
    environ = {"TAILRACE_UPSTREAMS_UP_RETRY": "off", "TAILRACE_UPSTREAMS_UP_RETRY_ATTEMPTS": "4"}
    assert "retry" not in resolve(service, environ=environ).blueprint["upstreams"][0]


def test_values_of_a_policy_know_where_they_came_from() -> None:
    origins = build(
        service_of(
            Upstream("up", "http://up:1", retry=Retry(attempts=3)),
            Upstream("off", "http://up:1", retry=None),
        )
    ).origins
    assert origins["upstreams.up.retry.attempts"].startswith("code ")
    assert origins["upstreams.up.retry.budget"] == "default"
    assert origins["upstreams.up.hedge"] == "default"
    assert origins["upstreams.off.retry"].startswith("code ")


@pytest.mark.parametrize(
    ("retry", "hedge", "purse", "attempts"),
    [
        (None, None, 3, 2),
        (Retry(attempts=1), None, 3, 2),
        (Retry(), None, 3, 4),
        (Retry(), None, 1, 3),
        (Retry(), None, 0, 2),
        (None, Hedge(), 3, 4),
        (Retry(attempts=3), Hedge(), 3, 5),
        (Retry(attempts=3), Hedge(), 100, 12),
    ],
)
def test_the_worst_case_counts_attempts_as_far_as_the_purse_reaches(
    retry: Retry | None, hedge: Hedge | None, purse: int, attempts: int
) -> None:
    """req 9.4: two calls, each tried and raced, never cause more than their request's purse."""
    ups = [Upstream(name, "http://up:1", retry=retry, hedge=hedge) for name in ("a", "b")]
    (worst,) = worst_cases(service_of(*ups, extra_attempts=purse).blueprint())
    assert (worst.calls_max, worst.attempts_max) == (2, attempts)


def test_a_view_has_the_purse_of_its_service_or_its_own() -> None:
    up = Upstream("up", "http://up:1")
    service = Service("test", deadline="1s", extra_attempts=5)

    @service.view("/a")
    class AView(View):
        x: Raw = strong(up.get("/x"))

    @service.view("/b", extra_attempts=0)
    class BView(View):
        x: Raw | None = weak(up.get("/x"))

    assert [view["extra_attempts"] for view in service.blueprint()["views"]] == [5, 0]
    blueprint = service_of(up).blueprint()
    assert blueprint["views"][0]["extra_attempts"] == 3
