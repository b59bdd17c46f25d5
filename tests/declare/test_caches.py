"""Caches and stand-ins: what is lowered, where values came from, who must say what.

req 16.5, 8.3: nonsense is refused where it stands (`mistakes/TR034` to `TR036`).
"""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tailrace import Cache, DeclarationError, Raw, Service, Upstream, View, header, strong, weak
from tailrace._config import resolve
from tailrace._lower import build
from tailrace._worst import needs, worst_cases


class First(BaseModel):
    id: str


def service_of(upstream: Upstream, **part: Any) -> Service:
    service = Service("test", deadline="10s")

    @service.view("/t/{id}")
    class TView(View):
        it: Raw = strong(upstream.get("/x/{id}"), **part)

    return service


def lowered(**how: Any) -> dict[str, Any]:
    return service_of(Upstream("up", "http://up:1", **how)).blueprint()["upstreams"][0]


def codes(service: Service, **how: Any) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        resolve(service, **how)
    return [problem.code for problem in caught.value.problems]


def test_nothing_is_cached_unless_it_is_said() -> None:
    assert "cache" not in lowered()
    assert lowered(cache=Cache(ttl="2s"))["cache"] == {"ttl_ms": 2_000.0}
    whole = Cache(ttl="2s", stale="0s", stale_if_error="5m", negative="1s", per_identity=True)
    assert lowered(cache=whole)["cache"] == {
        "ttl_ms": 2_000.0,
        "stale_ms": 0.0,
        "stale_if_error_ms": 300_000.0,
        "negative_ms": 1_000.0,
        "per_identity": True,
    }


def test_a_part_has_its_own_cache() -> None:
    upstream = Upstream("up", "http://up:1", cache=Cache(ttl="2s"))
    blueprint = service_of(upstream, cache=Cache(ttl="9s")).blueprint()
    assert blueprint["views"][0]["parts"][0]["cache"] == {"ttl_ms": 9_000.0}
    assert blueprint["upstreams"][0]["cache"] == {"ttl_ms": 2_000.0}


def test_a_file_may_set_times_and_switch_a_cache_on_and_off(tmp_path: Path) -> None:
    path = tmp_path / "tailrace.toml"
    path.write_text('[upstreams.up]\ncache = { ttl = "5s", stale = "1m" }\n')
    declared = service_of(Upstream("up", "http://up:1", cache=Cache(ttl="2s")))
    resolved = resolve(declared, str(path))
    assert resolved.blueprint["upstreams"][0]["cache"] == {"ttl_ms": 5_000.0, "stale_ms": 60_000.0}
    assert resolved.origin("upstreams.up.cache.ttl_ms").endswith("tailrace.toml:2")
    plain = service_of(Upstream("up", "http://up:1"))
    assert "cache" in resolve(plain, str(path)).blueprint["upstreams"][0]
    path.write_text('[upstreams.up]\ncache = "off"\n')
    assert "cache" not in resolve(declared, str(path)).blueprint["upstreams"][0]
    path.write_text('[upstreams.up]\ncache = "on"\n')
    assert codes(plain, toml_path=str(path)) == ["TR034"]


def test_an_operator_cannot_cache_what_callers_send_without_saying_so() -> None:
    service = service_of(Upstream("up", "http://up:1", forward_headers=["cookie"]))
    environ = {"TAILRACE_UPSTREAMS_UP_CACHE_TTL": "2s"}
    assert codes(service, environ=environ) == ["TR035"]
    environ["TAILRACE_UPSTREAMS_UP_CACHE_PER_IDENTITY"] = "on"
    assert resolve(service, environ=environ).blueprint["upstreams"][0]["cache"]["per_identity"]


def test_a_header_that_an_operator_forwards_is_the_callers_too() -> None:
    service = service_of(Upstream("up", "http://up:1", cache=Cache(ttl="2s")))
    environ = {"TAILRACE_UPSTREAMS_UP_FORWARD_HEADERS": "traceparent,authorization"}
    assert codes(service, environ=environ) == ["TR035"]
    service = service_of(Upstream("up", "http://up:1"), cache=Cache(ttl="2s"))
    assert codes(service, environ=environ) == ["TR035"]


def test_what_every_caller_sends_alike_needs_no_word() -> None:
    upstream = Upstream("up", "http://up:1", forward_headers=["traceparent"], cache=Cache(ttl="2s"))
    service = Service("test", deadline="1s")

    @service.view("/t")
    class TView(View):
        tenant: str = header("x-tenant")
        it: Raw = strong(upstream.get("/x", headers={"x-kind": "plain"}))
        other: Raw = strong(Upstream("free", "http://free:1").get("/y", query={"t": "{tenant}"}))

    assert "cache" in service.blueprint()["upstreams"][0]


def test_times_from_elsewhere_are_judged_against_declared_ones() -> None:
    service = service_of(Upstream("up", "http://up:1", cache=Cache(ttl="2s", negative="2s")))
    environ = {"TAILRACE_UPSTREAMS_UP_CACHE_TTL": "1s"}
    assert codes(service, environ=environ) == ["TR034"]
    service = service_of(Upstream("up", "http://up:1", cache=Cache(ttl="0s")))
    assert codes(service) == ["TR003"]
    service = service_of(Upstream("up", "http://up:1", cache=Cache(ttl=2)))  # type: ignore[arg-type]
    assert codes(service) == ["TR001"]


def test_what_stands_in_is_lowered_checked_and_counted() -> None:
    up = Upstream("up", "http://up:1")
    spare = Upstream("spare", "http://spare:1", cache=Cache(ttl="2s"))
    service = Service("test", deadline="10s")

    @service.view("/t/{id}")
    class TView(View):
        first: First = strong(up.get("/first/{id}"))
        it: Raw = weak(
            up.get("/x/{id}"), otherwise=spare.get("/y/{id}", query={"of": "{first.id}"})
        )

    built = build(service)
    part = built.blueprint["views"][0]["parts"][1]
    assert part["otherwise"]["upstream"] == "spare"
    assert [row["name"] for row in built.blueprint["upstreams"]] == ["up", "spare"]
    assert needs(part) == {"first"}
    assert worst_cases(built.blueprint)[0].calls_by_upstream == {"up": 2, "spare": 1}


def test_a_mistake_in_what_stands_in_is_found_where_it_stands() -> None:
    up, spare = Upstream("up", "http://up:1"), Upstream("spare", "http://spare:1")
    service = Service("test", deadline="10s")

    @service.view("/t/{id}")
    class TView(View):
        it: Raw = weak(up.get("/x/{id}"), otherwise=spare.get("/y/{ident}"))

    assert codes(service) == ["TR051"]
