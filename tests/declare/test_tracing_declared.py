"""Tracing: what turns it on, who says where it goes, and what is refused (req 16.6)."""

from pathlib import Path
from typing import Any

import pytest
from tailrace import ConfigError, DeclarationError, Raw, Service, Upstream, View, strong
from tailrace._config import Resolved, resolve
from tailrace._lower import lower_client
from tailrace.policies import Tracing

OTEL = "OTEL_EXPORTER_OTLP_"


def declared(tracing: Tracing | None) -> Service:
    up = Upstream("up", "http://up:9001")
    service = Service("shop", deadline="2s", tracing=tracing)

    @service.view("/x")
    class X(View):
        it: Raw = strong(up.get("/x"))

    return service


def resolved(tracing: Tracing | None, environ: dict[str, str] | None = None) -> Resolved:
    return resolve(declared(tracing), None, environ or {}, read_file=False)


def effective(tracing: Tracing | None, environ: dict[str, str] | None = None) -> Any:
    return resolved(tracing, environ).blueprint.get("tracing")


def test_it_is_off_unless_it_is_declared() -> None:
    """What the host has for others turns nothing on here."""
    assert effective(None) is None
    assert effective(None, {f"{OTEL}ENDPOINT": "http://collector:4318"}) is None
    found = resolved(None)
    assert found.origin("tracing.enabled") == "default"


def test_a_declaration_is_enough() -> None:
    assert effective(Tracing()) == {
        "endpoint": "http://127.0.0.1:4318/v1/traces",
        "timeout_ms": 10_000,
        "share": 0.01,
        "per_second": 50.0,
        "headers_variable": "OTEL_EXPORTER_OTLP_HEADERS",
        "resource": {},
    }


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("http://collector/otlp/v1/traces", "http://collector/otlp/v1/traces"),
    ],
)
def test_an_endpoint_without_a_path_has_the_usual_one(given: str, endpoint: str) -> None:
    assert effective(Tracing(endpoint=given))["endpoint"] == endpoint


def test_an_option_turns_it_on(tmp_path: Path) -> None:
    assert effective(None, {"TAILRACE_TRACING_ENABLED": "on"}) is not None
    path = tmp_path / "tailrace.toml"
    path.write_text('[tracing]\nshare = "5%"\n')
    found = resolve(declared(None), str(path))
    assert found.blueprint["tracing"]["share"] == 0.05
    assert found.origin("tracing.share") == f"{path}:2"
    assert found.origin("tracing.enabled") == f"{path}:2"


def test_each_way_to_turn_it_off() -> None:
    assert effective(Tracing(), {"TAILRACE_TRACING_ENABLED": "off"}) is None
    found = resolved(Tracing(), {"OTEL_SDK_DISABLED": "true"})
    assert "tracing" not in found.blueprint
    assert found.origin("tracing.enabled") == "env OTEL_SDK_DISABLED"
    both = {"OTEL_SDK_DISABLED": "true", "TAILRACE_TRACING_ENABLED": "on"}
    assert effective(Tracing(), both) is not None, "what is said to tailrace is stronger"
    assert effective(Tracing(), {"OTEL_SDK_DISABLED": "false"}) is not None


def test_the_standard_variables_are_an_origin() -> None:
    environ = {
        f"{OTEL}ENDPOINT": "http://host:4318/",
        f"{OTEL}TIMEOUT": "2500",
        f"{OTEL}TRACES_HEADERS": "authorization=x",
        "OTEL_SERVICE_NAME": "orders",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=p-1,team=a%20b,odd",
    }
    tracing = Tracing(endpoint="http://code:1", resource={"team": "code", "kept": "yes"})
    found = resolved(tracing, environ)
    lowered = found.blueprint["tracing"]
    assert lowered["endpoint"] == "http://host:4318/v1/traces"
    assert found.origin("tracing.endpoint") == f"env {OTEL}ENDPOINT"
    assert lowered["timeout_ms"] == 2_500
    assert found.origin("tracing.timeout_ms") == f"env {OTEL}TIMEOUT"
    assert lowered["headers_variable"] == f"{OTEL}TRACES_HEADERS"
    assert lowered["resource"] == {
        "team": "a b",
        "kept": "yes",
        "k8s.pod.name": "p-1",
        "service.name": "orders",
    }
    assert found.origin("tracing.resource") == "env OTEL_RESOURCE_ATTRIBUTES"
    assert found.origin("tracing.share") == "default"


def test_the_variable_for_traces_is_stronger_and_taken_as_it_is() -> None:
    environ = {f"{OTEL}ENDPOINT": "http://all:1", f"{OTEL}TRACES_ENDPOINT": "http://mine:2/x"}
    assert effective(Tracing(), environ)["endpoint"] == "http://mine:2/x"


def test_what_is_said_to_tailrace_is_stronger() -> None:
    environ = {
        f"{OTEL}ENDPOINT": "http://all:1",
        "TAILRACE_TRACING_ENDPOINT": "http://mine:2",
        "TAILRACE_TRACING_PER_SECOND": "7",
    }
    found = resolved(Tracing(), environ)
    assert found.blueprint["tracing"]["endpoint"] == "http://mine:2/v1/traces"
    assert found.blueprint["tracing"]["per_second"] == 7.0
    assert found.origin("tracing.endpoint") == "env TAILRACE_TRACING_ENDPOINT"


def test_another_protocol_is_no_silent_failure() -> None:
    environ = {f"{OTEL}ENDPOINT": "http://host:4317", f"{OTEL}PROTOCOL": "grpc"}
    with pytest.raises(DeclarationError) as caught:
        resolved(Tracing(), environ)
    (problem,) = caught.value.problems
    assert problem.code == "TR160"
    assert "http/protobuf" in problem.message
    # An endpoint of ours is HTTP, whatever others speak.
    assert effective(Tracing(), {**environ, "TAILRACE_TRACING_ENDPOINT": "http://host:4318"})
    for_traces = {f"{OTEL}TRACES_PROTOCOL": "http/protobuf"}
    assert effective(Tracing(), {**environ, **for_traces})


@pytest.mark.parametrize(
    ("name", "value"),
    [("ENDPOINT", "host:4318"), ("TIMEOUT", "soon"), ("ENDPOINT", "https://host:4318")],
)
def test_a_standard_variable_that_cannot_be_read_is_named(name: str, value: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        resolved(Tracing(), {f"{OTEL}{name}": value})
    assert f"{OTEL}{name}" in caught.value.render()


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(None, {"TAILRACE_TRACING_ENDPIONT": "http://x:1"})
    assert "TAILRACE_TRACING_ENDPOINT" in caught.value.render()


def test_no_message_shows_what_stands_before_an_at_sign() -> None:
    """RELIABILITY S22."""
    with pytest.raises(DeclarationError) as caught:
        resolved(Tracing(), {f"{OTEL}ENDPOINT": "http://user:hunter2@host:4318"})
    (problem,) = caught.value.problems
    assert "hunter2" not in problem.message


def test_a_client_s_calls_are_traced_by_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    up = Upstream("up", "http://up:9001")
    assert "tracing" not in lower_client([up], up.place)
    monkeypatch.setenv(f"{OTEL}ENDPOINT", "http://host:4318")
    assert "tracing" not in lower_client([up], up.place)
    found = lower_client([up], up.place, Tracing(share=1.0))
    assert found["tracing"]["endpoint"] == "http://host:4318/v1/traces"
