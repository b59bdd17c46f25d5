"""What OpenTelemetry's own variables say of the collector.

The failure prevented: a collector that every other program of the host finds by its standard
variables, and that has to be named once more here. They fill in what tracing needs and turn nothing
on: a service that declares no tracing must not begin to send because its host has a collector. What
is said to tailrace itself (a flag, `TAILRACE_TRACING_*`, the file) is stronger, the code is weaker.
Headers may be a secret: only the name of their variable is read here, its text by the plane.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from tailrace._origin import Key, Setting
from tailrace._source import Place

SECTION: Final = "otel"
"""The settings' own section: no option of a file or a flag."""
_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
TRACES_HEADERS: Final = _PREFIX + "TRACES_HEADERS"


def otel_settings(environ: Mapping[str, str]) -> dict[Key, Setting]:
    """Settings by `("otel", field of Tracing)`; an empty variable counts as none."""
    found: dict[Key, Setting] = {}

    def take(field: str, name: str, value: Any) -> None:
        found[SECTION, field] = Setting(value, f"env {name}", Place(f"environment variable {name}"))

    # The variable for traces alone is the stronger one, and comes last.
    for word in ("", "TRACES_"):
        endpoint, timeout, protocol = (
            f"{_PREFIX}{word}{rest}" for rest in ("ENDPOINT", "TIMEOUT", "PROTOCOL")
        )
        if environ.get(endpoint):
            whole = environ[endpoint] if word else f"{environ[endpoint].rstrip('/')}/v1/traces"
            take("endpoint", endpoint, whole)
        if environ.get(timeout):
            text = environ[timeout].strip()
            take("timeout", timeout, f"{text}ms" if text.isdecimal() else text)
        if environ.get(protocol):
            take("protocol", protocol, environ[protocol])
    if environ.get(TRACES_HEADERS):
        take("headers_variable", TRACES_HEADERS, TRACES_HEADERS)
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        take("enabled", "OTEL_SDK_DISABLED", False)
    attributes = _attributes(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    if environ.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = environ["OTEL_SERVICE_NAME"]
    if attributes:
        names = [n for n in ("OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME") if environ.get(n)]
        take("resource", names[0], attributes)
    return found


def _attributes(text: str) -> dict[str, str]:
    """`key=value,key=value`, values percent-encoded; what is no pair is left out, as they do."""
    pairs = (pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    return {key.strip(): unquote(value.strip()) for key, value in pairs if key.strip()}
