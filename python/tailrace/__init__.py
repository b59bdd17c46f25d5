"""Aggregation services with a bounded tail: declared in Python, run by a Rust data plane.

The failure prevented: a public surface that grows by accident. These are all the names; importing
them loads neither pydantic nor the plane, so that `tailrace --help` is instant.
"""

from tailrace.client import Client
from tailrace.dependencies import strong, weak
from tailrace.errors import CallFailed, ConfigError, DeclarationError, TailraceError
from tailrace.parameters import body, form, header, path, query
from tailrace.policies import AdaptiveLimit, Breaker, Bulkhead, Cache, Hedge, Retry, Throttle
from tailrace.scope import Scope
from tailrace.service import Service
from tailrace.typing import Raw
from tailrace.upstream import Upstream
from tailrace.view import View, computed

__all__ = [
    "AdaptiveLimit",
    "Breaker",
    "Bulkhead",
    "Cache",
    "CallFailed",
    "Client",
    "ConfigError",
    "DeclarationError",
    "Hedge",
    "Raw",
    "Retry",
    "Scope",
    "Service",
    "TailraceError",
    "Throttle",
    "Upstream",
    "View",
    "body",
    "computed",
    "form",
    "header",
    "path",
    "query",
    "strong",
    "weak",
]
