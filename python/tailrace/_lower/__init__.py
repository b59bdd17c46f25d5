"""From declarations to the blueprint: its only producer.

The failure prevented: a service that starts and is wrong. The whole declaration is lowered and
checked at once; every problem is collected, and a blueprint exists only when there are none. The
contract is `crates/tailrace-blueprint`; `tests/contract` holds both sides together.

    context     problems, origins, shapes       service     name, envelope, listen and limits
    upstreams   addresses, policies, headers    views       routes, members of the class body
    parameters  types, limits, defaults         parts       strength, fallback, timeout, `each`
    calls       templates of one call           fields      fields of parts, by their models
    handlers    views that Python answers   computed    fields that Python makes
    graph       what waits for what, cycles     attempts    retries and hedges
    tail        worst times and counts          guards      breaker, throttle, adaptive limit
    tracing     where traces go, and which
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailrace._lower.context import Context
from tailrace._lower.service import lower_service
from tailrace._origin import Overrides
from tailrace.errors import DeclarationError

if TYPE_CHECKING:
    from tailrace._source import Place
    from tailrace.policies import Tracing
    from tailrace.service import Service
    from tailrace.upstream import Upstream

__all__ = ["Built", "build", "lower", "lower_client"]


@dataclass(frozen=True, slots=True)
class Built:
    """A blueprint and the origin of each of its effective values, by dotted path."""

    blueprint: dict[str, Any]
    origins: dict[str, str]
    models: dict[int, type]
    """The class behind a shape, by its index; the plane does not need to know."""


def build(service: Service, overrides: Overrides | None = None) -> Built:
    """The blueprint of `service`; raises `DeclarationError` with every problem found."""
    context = Context(overrides or Overrides())
    blueprint = lower_service(context, service)
    if context.problems:
        raise DeclarationError(context.problems)
    return Built(blueprint, context.origins, context.shapes.models)


def lower(service: Service, overrides: Overrides | None = None) -> bytes:
    """The blueprint as compact JSON."""
    blueprint = build(service, overrides).blueprint
    return json.dumps(blueprint, separators=(",", ":"), ensure_ascii=False).encode()


def lower_client(
    upstreams: Sequence[Upstream], place: Place, tracing: Tracing | None = None
) -> dict[str, Any]:
    """A blueprint of `upstreams` alone; raises `DeclarationError` with every problem found."""
    import os

    from tailrace._lower.service import FORMAT_VERSION
    from tailrace._lower.tracing import lower_tracing
    from tailrace._lower.upstreams import lower_upstreams
    from tailrace._otel import otel_settings
    from tailrace.service import Service

    context = Context(Overrides(otel_settings(os.environ)))
    if not upstreams:
        helps = ("give it what it calls: tailrace.Client(orders, users)",)
        context.problem("TR100", "a client without upstreams can call nothing", place, helps=helps)
    service = Service("client", deadline="1s", upstreams=upstreams)
    rows = lower_upstreams(context, service)
    traced = lower_tracing(context, place, tracing)
    if context.problems:
        raise DeclarationError(context.problems)
    return {
        "format_version": FORMAT_VERSION,
        "service": "client",
        "upstreams": rows,
        "views": [],
        "shapes": [],
        **traced,
    }


def lower_collector(overrides: Overrides) -> dict[str, Any] | None:
    """A blueprint that has tracing and nothing else; none when it is turned off. Raises
    `DeclarationError` with every problem found."""
    from tailrace._lower.service import FORMAT_VERSION
    from tailrace._lower.tracing import lower_tracing
    from tailrace._source import Place
    from tailrace.policies import Tracing

    context = Context(overrides)
    traced = lower_tracing(context, Place("the environment"), Tracing())
    if context.problems:
        raise DeclarationError(context.problems)
    if not traced:
        return None
    empty: dict[str, Any] = {"upstreams": [], "views": [], "shapes": []}
    return {"format_version": FORMAT_VERSION, "service": "tailrace-doctor", **empty, **traced}
