"""Every option that a file, the environment or a flag may set: one table.

The failure prevented: an option that works in TOML and not in the environment, or a key that is
accepted and does nothing. Sections and keys stand here once; names of variables follow from them
(`[limits] drain` is `TAILRACE_LIMITS_DRAIN`). Values for `listen`, `limits` and `access_log` become
blueprint fields, whose defaults stand in Rust; the others are read by the lowering.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tailrace.quantities import QuantityError, duration_ms, size_bytes

Read: TypeAlias = Callable[[Any], Any]
"""Turns a TOML value, a flag's value or a variable's text into the option's value."""

PREFIX: Final = "TAILRACE_"
COUNT_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Option:
    """`field` is the name in the blueprint (or the lowering), where that is not the key."""

    read: Read
    field: str = ""


def _wrong(value: Any, wanted: str) -> QuantityError:
    return QuantityError("TR203", f"cannot be {value!r}", f"write {wanted}")


def _as_is(value: Any) -> Any:
    """Checked by the lowering, which knows what it is about."""
    return value


def _milliseconds(value: Any, *, zero: bool = False) -> int:
    number = duration_ms(value, zero=zero)
    if number != math.floor(number):
        raise QuantityError("TR002", f'"{value}" is no whole number of milliseconds', 'try "1ms"')
    return int(number)


def _milliseconds_or_zero(value: Any) -> int:
    return _milliseconds(value, zero=True)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(value, "text")
    return value


def _texts(value: Any) -> list[str]:
    """A list, or in a variable its items with commas between."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _wrong(value, 'a list of text: ["one", "two"]')
    return list(value)


def whole(value: Any) -> Any:
    """A whole number, also as a variable's text; anything else is left to the caller's check."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value


def _number(value: Any) -> Any:
    """A number, also as a variable's text; anything else is left to the caller's check."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _count(least: int, most: int) -> Read:
    def read(value: Any) -> int:
        number = whole(value)
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise _wrong(value, f"a whole number from {least} to {most}")
        return number

    return read


def _memory(value: Any) -> int | None:
    """Bytes, or `None`: half of what the container allows (req 11.1)."""
    return None if value == "auto" else size_bytes(value, limit=(1 << 40) - 1)


def _workers(value: Any) -> int | None:
    return None if value == "auto" else int(_count(1, 1024)(value))


def _choice(*known: str) -> Read:
    def read(value: Any) -> str:
        if value not in known:
            raise _wrong(value, "one of " + ", ".join(f'"{one}"' for one in known))
        return str(value)

    return read


def _switch(value: Any) -> bool:
    """A policy as a whole; in a variable as text."""
    known = {"on": True, "off": False, True: True, False: False}
    if not isinstance(value, str | bool) or value not in known:
        raise _wrong(value, '"on" or "off"')
    return known[value]


def _rate(value: Any) -> Any:
    """Requests a second, or off."""
    return False if value == "off" or value is False else _number(value)


_PORT = _count(0, (1 << 16) - 1)

SECTIONS: Final[dict[str, dict[str, Option]]] = {
    "service": {
        "deadline": Option(_as_is),
        "fanout": Option(whole),
        "extra_attempts": Option(whole),
        "server_timing": Option(_switch),
    },
    "listen": {
        "host": Option(_text),
        "port": Option(_PORT),
        "admin_host": Option(_text),
        "admin_port": Option(_PORT),
        "admin_token_file": Option(_text),
        "workers": Option(_workers),
    },
    "limits": {
        "head_read": Option(_milliseconds, "head_read_ms"),
        "idle": Option(_milliseconds, "idle_ms"),
        "body_read": Option(_milliseconds, "body_read_ms"),
        "write": Option(_milliseconds, "write_ms"),
        "head_max": Option(size_bytes, "head_max_bytes"),
        "headers_max": Option(_count(1, (1 << 16) - 1)),
        "uri_max": Option(size_bytes, "uri_max_bytes"),
        "request_body_max": Option(size_bytes, "request_body_max_bytes"),
        "upstream_body_max": Option(size_bytes, "upstream_body_max_bytes"),
        "request_memory_max": Option(size_bytes, "request_memory_max_bytes"),
        "memory_max": Option(_memory, "memory_max_bytes"),
        "json_depth_max": Option(_count(1, 64)),
        "cache_max": Option(size_bytes, "cache_max_bytes"),
        "connections_max": Option(_count(1, COUNT_MAX)),
        "pool_idle": Option(_milliseconds, "pool_idle_ms"),
        "dns_refresh": Option(_milliseconds, "dns_refresh_ms"),
        "drain": Option(_milliseconds_or_zero, "drain_ms"),
        "reserve": Option(_milliseconds_or_zero, "reserve_ms"),
    },
    "admission": {
        "client": Option(_text),
        "trusted": Option(_texts),
        "rate": Option(_rate, "rate_per_second"),
        "rate.per_second": Option(_rate, "rate_per_second"),
        "rate.burst": Option(whole, "rate_burst"),
        "clients_max": Option(whole),
        "calls_max": Option(whole),
        "shed": Option(_switch),
        "shed.delay": Option(_as_is, "shed_delay"),
        "shed.cpu": Option(_as_is, "shed_cpu"),
        "brownout": Option(_switch),
        "brownout.start": Option(_as_is, "brownout_start"),
        "brownout.full": Option(_as_is, "brownout_full"),
        "brownout.band": Option(_as_is, "brownout_band"),
        "brownout.dwell": Option(_as_is, "brownout_dwell"),
        "feasibility": Option(_switch),
        "feasibility.refused_max": Option(_as_is, "feasibility_refused_max"),
    },
    "envelope": {
        "degraded": Option(_text),
        "request_id": Option(_text),
        "served_at_ms": Option(_text),
    },
    "tracing": {
        "enabled": Option(_switch),
        "endpoint": Option(_text),
        "share": Option(_as_is),
        "per_second": Option(_number),
        "timeout": Option(_as_is),
        "headers_variable": Option(_text),
    },
    "access_log": {
        "format": Option(_choice("json", "text", "off")),
        "ring": Option(_count(1, 1 << 24)),
        "path": Option(_text),
    },
}

UPSTREAM: Final[dict[str, Option]] = {
    "url": Option(_text, "addresses"),
    "addresses": Option(_texts),
    "timeout": Option(_as_is),
    "bulkhead": Option(whole),
    "bulkhead.limit": Option(whole, "bulkhead"),
    "bulkhead.queue": Option(whole, "bulkhead_queue"),
    "retry": Option(_switch),
    "retry.attempts": Option(whole, "retry_attempts"),
    "retry.attempt_timeout": Option(_as_is, "retry_attempt_timeout"),
    "retry.backoff": Option(_as_is, "retry_backoff"),
    "retry.backoff_max": Option(_as_is, "retry_backoff_max"),
    "retry.budget": Option(_as_is, "retry_budget"),
    "retry.budget_min": Option(whole, "retry_budget_min"),
    "hedge": Option(_switch),
    "hedge.after": Option(_as_is, "hedge_after"),
    "hedge.extra": Option(_as_is, "hedge_extra"),
    "hedge.delay_min": Option(_as_is, "hedge_delay_min"),
    "breaker": Option(_switch),
    "breaker.consecutive": Option(whole, "breaker_consecutive"),
    "breaker.success_min": Option(_as_is, "breaker_success_min"),
    "breaker.samples_min": Option(whole, "breaker_samples_min"),
    "breaker.slow": Option(_as_is, "breaker_slow"),
    "breaker.open": Option(_as_is, "breaker_open"),
    "breaker.open_max": Option(_as_is, "breaker_open_max"),
    "throttle": Option(_switch),
    "throttle.factor": Option(_number, "throttle_factor"),
    "throttle.requests_min": Option(whole, "throttle_requests_min"),
    "throttle.reject_max": Option(_as_is, "throttle_reject_max"),
    "adaptive": Option(_switch),
    "adaptive.min": Option(whole, "adaptive_min"),
    "adaptive.init": Option(whole, "adaptive_init"),
    "rate": Option(_rate, "rate_per_second"),
    "rate.per_second": Option(_rate, "rate_per_second"),
    "rate.burst": Option(whole, "rate_burst"),
    "cache": Option(_switch),
    "cache.ttl": Option(_as_is, "cache_ttl"),
    "cache.stale": Option(_as_is, "cache_stale"),
    "cache.stale_if_error": Option(_as_is, "cache_stale_if_error"),
    "cache.negative": Option(_as_is, "cache_negative"),
    "cache.per_identity": Option(_switch, "cache_per_identity"),
    "forward_headers": Option(_texts),
    "body_max": Option(_as_is),
}
POLICIES: Final = (
    "bulkhead",
    "retry",
    "hedge",
    "breaker",
    "throttle",
    "adaptive",
    "cache",
    "rate",
    "shed",
    "brownout",
    "feasibility",
    "computed",
)
"""Keys that may also be a table: `retry = { attempts = 1 }`."""

VIEW: Final[dict[str, Option]] = {
    "deadline": Option(_as_is),
    "fanout": Option(whole),
    "extra_attempts": Option(whole),
    "rate": Option(_rate, "rate_per_second"),
    "rate.per_second": Option(_rate, "rate_per_second"),
    "rate.burst": Option(whole, "rate_burst"),
    "priority": Option(_as_is),
    "drop": Option(_texts),
    "limit": Option(whole),
    "allow_overcommit": Option(_as_is),
    "computed.time": Option(_as_is, "computed_time"),
    "computed.limit": Option(whole, "computed_limit"),
}

NAMED: Final[dict[str, dict[str, Option]]] = {"upstreams": UPSTREAM, "views": VIEW}
