"""Caches: how long answers are kept, and for whom.

The failure prevented: one user's answer for another. What a call carries of its caller is in the
key of its answer in any case; a cache that does not say so is refused, because it makes an entry
per caller, which is seldom what was meant. And nonsense: a time of zero, a stale time that ends
before it begins. Ranges are those of the blueprint's checks in Rust, which say the same to other
producers.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from tailrace._lower.context import Context, at
from tailrace._lower.policy import UNKNOWN, Settings, later
from tailrace._origin import DEFAULT, Setting
from tailrace._source import Place, inner_argument
from tailrace.policies import Cache
from tailrace.quantities import QuantityError, duration_ms, duration_text
from tailrace.upstream import Call, Upstream

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope

TIME_MIN_MS: Final = 0.001
TRACE: Final = frozenset({"traceparent", "tracestate"})
"""Headers that say who asks for what, never for whom; the plane leaves them out of every key."""
_TIMES: Final = ("stale", "stale_if_error", "negative")
_NAMES: Final = tuple(field.name for field in fields(Cache))


def lower_cache(context: Context, upstream: Upstream, forwarded: list[str]) -> dict[str, Any]:
    """The key `cache` of an upstream; without one nothing is kept."""
    found = _settings(context, upstream)
    if found is None:
        return {}
    subject = f"cache of upstream `{upstream.name}`"
    lowered = _times(context, found, subject)
    telling = [name for name in forwarded if name not in TRACE]
    if telling and not lowered.get("per_identity"):
        _say_so(context, f"upstream `{upstream.name}`", telling[0], found["ttl"].place)
    return {"cache": lowered}


def _settings(context: Context, upstream: Upstream) -> Settings | None:
    """Effective values by field, or `None` when nothing is cached."""
    declared = upstream.cache
    key, base = ("upstreams", upstream.name), f"upstreams.{upstream.name}.cache"
    place = at(upstream.place, "cache")
    if declared is not None and not isinstance(declared, Cache):
        _no_cache(context, f"cache of upstream `{upstream.name}`", declared, place)
        return None
    switch = context.overrides.find((*key, "cache"))
    touched = any(context.overrides.find((*key, f"cache_{name}")) for name in _NAMES)
    on = (declared is not None or touched) if switch is None else switch.value
    if not on:
        context.origins[base] = switch.origin if switch else DEFAULT
        return None
    found = {}
    for name in _NAMES:
        value = getattr(declared, name, None)
        found[name] = context.setting(
            (*key, f"cache_{name}"),
            value or None,
            False if name == "per_identity" else None,
            inner_argument(upstream.place, "cache", name),
            f"{base}.{name}" + ("" if name == "per_identity" else "_ms"),
        )
    if found["ttl"].value is None:
        message = f"cache of upstream `{upstream.name}` is on and has no ttl"
        helps = (f'[upstreams.{upstream.name}.cache] ttl = "2s"',)
        where = switch.place if switch else place
        context.problem("TR034", message, where, helps=helps)
        return None
    return found


def part_cache(
    context: Context, scope: ViewScope, name: str, lowered: dict[str, Any]
) -> dict[str, Any]:
    """The key `cache` of a part, which replaces its upstream's; and who it keeps apart."""
    part = scope.parts[name]
    subject, place = f"cache of part `{name}`", at(part.place, "cache")
    path = f"views.{scope.view.name}.parts.{name}.cache"
    own: dict[str, Any] = {}
    if part.cache is not None:
        if not isinstance(part.cache, Cache):
            _no_cache(context, subject, part.cache, place)
            return {}
        if part.call.method != "GET":
            message = f"{subject} is of a {part.call.method}; only what a GET answers is kept"
            context.problem("TR034", message, place, helps=("leave out the cache of this part",))
            return {}

        def setting(field: str) -> Setting:
            where = inner_argument(part.place, "cache", field)
            value = getattr(part.cache, field)
            origin = DEFAULT if value in (None, False) else f"code {where}"
            shown = field if field == "per_identity" else f"{field}_ms"
            context.origins[f"{path}.{shown}"] = origin
            return Setting(value, origin, where)

        own = {"cache": _times(context, {one: setting(one) for one in _NAMES}, subject)}
    subject = f"part `{name}`"
    check_caller(
        context, scope, part.call, lowered, own=own.get("cache"), place=place, subject=subject
    )
    return own


def check_caller(
    context: Context,
    scope: ViewScope,
    call: Call,
    lowered: dict[str, Any],
    *,
    own: dict[str, Any] | None,
    place: Place,
    subject: str,
) -> None:
    """Refuses a cache that does not say that it keeps callers apart, where there are any."""
    upstream = call.upstream
    if not isinstance(upstream.name, str):
        return  # Reported where the upstream is lowered.
    if call.method != "GET":
        return  # An upstream's cache is for its GET calls.
    cache = own if own is not None else _effective(context, upstream)
    if cache is None or cache.get("per_identity"):
        return
    forwarded = _forwarded(context, upstream) if own is not None else []
    telling = [name for name in forwarded if str(name).lower() not in TRACE]
    telling += [row["name"] for row in lowered.get("headers", []) if not _is_text(row["value"])]
    templates = [lowered["path"], *(row["value"] for row in lowered.get("query", []))]
    read = [piece["parameter"] for one in templates for piece in one if "parameter" in piece]
    telling += [name for name in read if scope.parameters[name]["in"] == "header"]
    if telling:
        _say_so(context, subject, telling[0], place)


def _effective(context: Context, upstream: Upstream) -> dict[str, Any] | None:
    """What decides here of the upstream's own cache; its times are reported where it is lowered."""
    quiet = Context(context.overrides)
    found = _settings(quiet, upstream)
    return None if found is None else {"per_identity": found["per_identity"].value}


def _forwarded(context: Context, upstream: Upstream) -> list[Any]:
    key = ("upstreams", upstream.name, "forward_headers")
    found = context.overrides.find(key)
    given = upstream.forward_headers if found is None else found.value
    return list(given) if isinstance(given, list | tuple | set | frozenset) else [given]


def _is_text(pieces: list[dict[str, Any]]) -> bool:
    return all("text" in piece for piece in pieces)


def _say_so(context: Context, subject: str, name: str, place: Place) -> None:
    message = f"calls of {subject} carry `{name}` of the caller, and its answers are cached"
    notes = (
        "each caller gets answers of its own: the value is part of every key, "
        "so there is an entry per caller",
    )
    helps = (
        "if that is meant, say it: Cache(..., per_identity=True)",
        "if the answer is the same for everybody, do not send it",
    )
    context.problem("TR035", message, place, notes=notes, helps=helps)


def _no_cache(context: Context, subject: str, given: object, place: Place) -> None:
    helps = ('write cache=Cache(ttl="2s"), or leave it out',)
    context.problem("TR034", f"{subject} cannot be {given!r}", place, helps=helps)


def _times(context: Context, found: Settings, subject: str) -> dict[str, Any]:
    """Milliseconds by blueprint name; what was not said is left to the plane."""
    ttl = _time(context, found["ttl"], f"ttl in the {subject}", zero=False)
    if ttl < TIME_MIN_MS:
        helps = ("clocks are no finer; leave the cache out when nothing is to be kept",)
        message = f"ttl in the {subject} is below 1us"
        context.problem("TR034", message, found["ttl"].place, helps=helps)
    lowered: dict[str, Any] = {"ttl_ms": ttl}
    for name in _TIMES:
        if found[name].value is not None:
            lowered[f"{name}_ms"] = _time(context, found[name], f"{name} in the {subject}")
    _fits(context, found, subject, lowered)
    identity = found["per_identity"]
    if not isinstance(identity.value, bool):
        message = f"per_identity in the {subject} cannot be {identity.value!r}"
        context.problem("TR034", message, identity.place, helps=("True or False",))
    elif identity.value:
        lowered["per_identity"] = True
    return lowered


def _fits(context: Context, found: Settings, subject: str, lowered: dict[str, Any]) -> None:
    ttl = lowered["ttl_ms"]
    stale = lowered.get("stale_ms", ttl)
    failed = lowered.get("stale_if_error_ms", math.inf)
    if 0 < failed < stale:
        message = (
            f"stale_if_error in the {subject} is {duration_text(failed)}, "
            f"but answers are served stale for {duration_text(stale)} anyhow"
        )
        place = later(found["stale_if_error"], found["stale"]).place
        helps = ('raise it, lower stale, or say "0s"',)
        context.problem("TR034", message, place, helps=helps)
    negative = lowered.get("negative_ms", 0.0)
    if negative > ttl:
        message = (
            f"negative in the {subject} is {duration_text(negative)}, "
            f"its ttl only {duration_text(ttl)}"
        )
        notes = ("what does not exist would be believed for longer than what does",)
        helps = ("lower it to at most the ttl",)
        context.problem("TR034", message, found["negative"].place, notes=notes, helps=helps)


def _time(context: Context, setting: Setting, subject: str, *, zero: bool = True) -> float:
    try:
        return duration_ms(setting.value, zero=zero)
    except QuantityError as error:
        hint = error.hint
        if error.code == "TR003" and not zero:
            hint = "leave the cache out when nothing is to be kept"
        context.problem(error.code, f"{subject}: {error}", setting.place, helps=(hint,))
        return UNKNOWN
