"""The service for its callers: an OpenAPI 3.1 document, and a page to read it.

The failure prevented: a contract that is written by hand and drifts from what is served. Everything
is read from the effective blueprint, from the plane's list of problems, and, for names and words
only, from the declared classes. The same service gives the same bytes; the version is a digest of
what is promised, so it changes when the contract does.

    schemas     shapes as JSON Schema      problems    statuses and codes
    operations  views, parts, parameters   page        the document as one HTML page
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from tailrace._codec import json_schema
from tailrace._openapi.operations import REQUEST_ID, Operations
from tailrace._openapi.page import page
from tailrace._openapi.problems import Problems
from tailrace._openapi.schemas import Schemas, own_doc
from tailrace.view import ComputedDeclaration, ViewDeclaration

if TYPE_CHECKING:
    from tailrace.service import Service

__all__ = ["document", "page", "render", "served"]

OPENAPI: Final = "3.1.1"
PORT: Final = 8080
"""Where a service listens by default; the Rust side has it too, `tests/contract` compares."""
ABOUT: Final = """\
Each reply is put together from parts. A strong part is always there: when it cannot be had, the
answer is a problem. A weak part may be missing: the reply is still 200, the part is null or its
replacement, and `{degraded}` and the header `Tailrace-Degraded` name it.

HEAD is answered like GET, without a body. A request may carry an `x-request-id`; the reply and
every call made for it carry the same one."""


class Effective(Protocol):
    """A blueprint and the classes behind its shapes: `Built` or `Resolved`."""

    @property
    def blueprint(self) -> dict[str, Any]: ...
    @property
    def models(self) -> dict[int, type]: ...


def document(service: Service, built: Effective, *, server: str | None = None) -> dict[str, Any]:
    """The OpenAPI document of `service` as `built`; `server` is where its callers reach it."""
    from tailrace._runtime import problems

    blueprint = built.blueprint
    replies = [part["shape"] for view in blueprint["views"] for part in view["parts"]]
    schemas = Schemas(blueprint["shapes"], built.models, replies)
    known = Problems(problems(), "rate" in blueprint.get("admission", {}))
    for status in {one[2] for one in problems()}:
        schemas.claim(f"Problem{status}")
    schemas.claim("Problem")
    results = {one.name: json_schema(one.hints()["return"]) for one in service.handlers}
    made = {view.name: dict(_made(view)) for view in service.views}
    operations = Operations(blueprint, schemas, known, results, made)
    docs = {view.name: own_doc(view.cls) for view in service.views}
    docs |= {one.name: inspect.getdoc(one.function) or "" for one in service.handlers}
    paths: dict[str, Any] = {}
    statuses: set[int] = set()
    for view in blueprint["views"]:
        operation = operations.of(view, docs.get(view["name"], ""))
        paths.setdefault(view["path"], {})[view["method"].lower()] = operation
        statuses |= set(known.statuses(view))
    bodies, responses = known.components(statuses)
    contract = {
        "paths": paths,
        "components": {
            "schemas": {**schemas.components, **bodies},
            "responses": responses,
            "headers": _headers(blueprint),
        },
    }
    about = ABOUT.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")
    info = {
        "title": blueprint["service"],
        "version": hashlib.sha256(render(contract)).hexdigest()[:12],
        "description": about.format(degraded=blueprint["envelope"]["degraded"]),
    }
    found: dict[str, Any] = {"openapi": OPENAPI, "info": info}
    if server:
        found["servers"] = [{"url": server}]
    return found | contract


def _made(view: ViewDeclaration) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the code of computed fields returns."""
    for member in view.members():
        if isinstance(member.value, ComputedDeclaration):
            yield member.name, json_schema(view.result(member))


def render(found: dict[str, Any]) -> bytes:
    """The document as JSON, always the same for the same one."""
    return json.dumps(found, ensure_ascii=False, indent=1).encode() + b"\n"


def served(service: Service, built: Effective) -> tuple[bytes, bytes]:
    """The document and the page as a running service shows them.

    A port chosen by the system is known too late; then the document names no server.
    """
    listen = built.blueprint.get("listen", {})
    port = listen.get("port", PORT)
    host = str(listen.get("host", "127.0.0.1"))
    host = f"[{host}]" if ":" in host else host
    found = document(service, built, server=f"http://{host}:{port}" if port else None)
    return render(found), page(found, json_at="openapi.json")


def _headers(blueprint: dict[str, Any]) -> dict[str, Any]:
    name = blueprint["envelope"]["degraded"]
    return {
        "RequestId": {
            "required": True,
            "description": "The request's own `x-request-id`, or a new one.",
            "schema": REQUEST_ID,
        },
        "Degraded": {
            "description": f"Only when `{name}` is not empty: each part whose call failed, why, and"
            " what stands in for it, as in"
            " `coupon;reason=timeout, recommend;reason=connect;served=stale;age=12`.",
            "schema": {"type": "string"},
        },
        "Sources": {
            "description": "Parts that are whole and were not fetched for this request, as in"
            " `user;source=cached;age=1`.",
            "schema": {"type": "string"},
        },
        "DegradedIsNotStored": {
            "description": f"`no-store` when `{name}` is not empty.",
            "schema": {"type": "string"},
        },
        "RateLimit": {
            "description": 'What is left of a rate, as in `"client";r=17;t=2`: requests, seconds.',
            "schema": {"type": "string"},
        },
        "RateLimitPolicy": {
            "description": 'The rates, as in `"client";q=200;w=2`: requests, seconds.',
            "schema": {"type": "string"},
        },
        "NeverStored": {"schema": {"type": "string", "const": "no-store"}},
        "RetryAfterWait": {
            "description": "Seconds, where waiting helps.",
            "schema": {"type": "integer", "minimum": 1},
        },
        "RetryAfter": {
            "required": True,
            "description": "Seconds; not all callers are told the same.",
            "schema": {"type": "integer", "minimum": 1},
        },
    }
