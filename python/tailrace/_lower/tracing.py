"""Tracing: where spans are sent, and which requests are worth it (req 16.6).

The failure prevented: a service whose traces go nowhere, found out when somebody needs one. Tracing
is on when the code declares it or an option of it is set for tailrace; OpenTelemetry's variables
fill in and turn off, and never turn on (`_otel`). Ranges are those of `crates/tailrace-blueprint`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tailrace._lower.context import Context, at
from tailrace._lower.policy import quantity
from tailrace._lower.upstreams import url_problem
from tailrace._options import SECTIONS
from tailrace._origin import DEFAULT, Setting
from tailrace._otel import SECTION as OTEL
from tailrace._source import Place, nested
from tailrace.policies import Tracing
from tailrace.quantities import share

CODE: Final = "TR160"
PATH_DEFAULT: Final = "/v1/traces"
PROTOCOL: Final = "http/protobuf"
PER_SECOND_MIN: Final = 0.001
PER_SECOND_MAX: Final = 10_000.0
TIMEOUT_MAX_MS: Final = 60_000.0
RESOURCE_MAX: Final = 64
TEXT_MAX: Final = 1_024
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_USUAL: Final = Tracing()
_KEY: Final = "tracing"
_ENABLED: Final = "tracing.enabled"


def lower_tracing(context: Context, place: Place, declared: object) -> dict[str, Any]:
    """The key `tracing`; without tracing it is left out."""
    if declared is not None and not isinstance(declared, Tracing):
        helps = ("write tracing=Tracing(...), or leave it out",)
        where = at(place, _KEY)
        context.problem(CODE, f"tracing cannot be {declared!r}", where, helps=helps)
        return {}
    if not _is_on(context, place, declared):
        return {}
    made = _Lowering(context, place, declared)
    return {
        _KEY: {
            "endpoint": made.endpoint(),
            "timeout_ms": made.timeout(),
            "share": made.share(),
            "per_second": made.per_second(),
            "headers_variable": made.headers_variable(),
            "resource": made.resource(),
        }
    }


def _is_on(context: Context, place: Place, declared: Tracing | None) -> bool:
    find = context.overrides.find
    switch = find((_KEY, "enabled")) or find((OTEL, "enabled"))
    options = (find((_KEY, name)) for name in SECTIONS[_KEY] if name != "enabled")
    touched = next((option for option in options if option is not None), None)
    if switch is None:
        name = "" if touched is None else touched.origin
        said = DEFAULT if declared is None else f"code {at(place, _KEY)}"
        context.origins[_ENABLED] = name if declared is None and name else said
        return declared is not None or touched is not None
    context.origins[_ENABLED] = switch.origin
    return bool(switch.value)


class _Lowering:
    def __init__(self, context: Context, place: Place, declared: Tracing | None) -> None:
        self.context = context
        self.place = place
        self.declared = declared

    def _setting(self, name: str, path: str = "") -> Setting:
        """What is said to tailrace, else to everybody, else by the code."""
        path = f"{_KEY}.{path or name}"
        other = self.context.overrides.find((OTEL, name))
        if other is not None and self.context.overrides.find((_KEY, name)) is None:
            self.context.origins[path] = other.origin
            return other
        usual = getattr(_USUAL, name)
        value = usual if self.declared is None else getattr(self.declared, name)
        where = nested(self.place, _KEY, name)
        return self.context.setting(
            (_KEY, name), None if value == usual else value, usual, where, path
        )

    def endpoint(self) -> str:
        setting = self._setting("endpoint")
        protocol = self.context.overrides.find((OTEL, "protocol"))
        from_otel = setting is self.context.overrides.find((OTEL, "endpoint"))
        if from_otel and protocol is not None and protocol.value != PROTOCOL:
            message = f"spans are sent as {PROTOCOL}, not as {protocol.value!r}"
            helps = (
                f'name the collector\'s HTTP port: endpoint = "http://collector:4318", or set '
                f"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL={PROTOCOL} with such an endpoint",
            )
            self.context.problem(CODE, message, protocol.place, helps=helps)
            return ""
        url: Any = setting.value
        reason, _ = url_problem(url)
        if reason:
            shown = re.sub(r"//[^/@]*@", "//***@", url) if isinstance(url, str) else url
            helps = (
                'the collector speaks OTLP over HTTP: endpoint="http://collector:4318"; for TLS '
                "let a collector beside the service pass the spans on",
            )
            message = f"endpoint {shown!r} of tracing {reason}"
            self.context.problem(CODE, message, setting.place, helps=helps)
            return ""
        whole = str(url).rstrip("/")
        return whole + ("" if urlsplit(whole).path else PATH_DEFAULT)

    def timeout(self) -> int:
        setting = self._setting("timeout", "timeout_ms")
        number = self.context.duration(setting, "timeout of tracing")
        if number > TIMEOUT_MAX_MS:
            message = f"timeout of tracing cannot be {setting.value!r}"
            helps = ("at most 60s: one exchange at a time is under way",)
            self.context.problem(CODE, message, setting.place, helps=helps)
        return max(1, math.ceil(number))

    def share(self) -> float:
        setting = self._setting("share")
        return quantity(self.context, setting, "share of tracing", share)

    def per_second(self) -> float:
        setting = self._setting("per_second")
        number = setting.value
        wrong = isinstance(number, bool) or not isinstance(number, int | float)
        if wrong or not PER_SECOND_MIN <= number <= PER_SECOND_MAX:
            helps = (f"traces a second: from {PER_SECOND_MIN:g} to {PER_SECOND_MAX:,.0f}",)
            message = f"per_second of tracing cannot be {number!r}"
            self.context.problem(CODE, message, setting.place, helps=helps)
            return 1.0
        return float(number)

    def headers_variable(self) -> str:
        setting = self._setting("headers_variable")
        name = setting.value
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            # It may be the token itself: it is not shown.
            message = "headers_variable of tracing is no name of a variable"
            helps = ('put the headers into a variable and name it: "OTEL_EXPORTER_OTLP_HEADERS"',)
            self.context.problem(CODE, message, setting.place, helps=helps)
            return _USUAL.headers_variable
        return name

    def resource(self) -> dict[str, str]:
        """What the code says, and over it what the environment does."""
        setting = self._setting("resource")
        declared = {} if self.declared is None else self.declared.resource
        given = declared if isinstance(declared, Mapping) else {"": declared}
        merged = {**given, **(setting.value if isinstance(setting.value, Mapping) else {})}
        good = all(
            isinstance(text, str) and len(text.encode()) <= TEXT_MAX
            for pair in merged.items()
            for text in pair
        )
        if not good or "" in merged or len(merged) > RESOURCE_MAX:
            message = "resource of tracing cannot be this"
            helps = (
                f"at most {RESOURCE_MAX} names with text, each up to {TEXT_MAX} bytes: "
                'resource={"deployment.environment.name": "production"}',
            )
            self.context.problem(CODE, message, setting.place, helps=helps)
            return {}
        return merged
