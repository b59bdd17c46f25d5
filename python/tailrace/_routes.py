"""The route of a request as its framework declares it: a template, never the path that was asked.

The failure prevented: a label per order id. A framework says in the ASGI scope which route it
chose; where a part of it is mounted below another app, the mount's own template stands in front. A
request that no route took has no template, and whoever asks for one gets none.

Known: FastAPI and Starlette (`route`, `endpoint`), Litestar (`path_template`), and any framework
that puts an object with a `path` under `route`.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

_DEPTH_MAX = 8
"""Mounts within mounts."""


def template(scope: MutableMapping[str, Any], app: Any) -> str | None:
    """The template of the route of `app` that answered, as the scope has it afterwards."""
    known = scope.get("path_template")
    if isinstance(known, str):  # Litestar
        return known
    path = _of_route(scope)
    if path is None:
        return None
    # A mount says under which name it was found, and where the app itself is.
    here = scope.get("root_path", "")
    root = scope.get("app_root_path", here)
    if here == root:
        return path
    before = _of_mounts(_routes(app), here[len(root) :], _DEPTH_MAX)
    return None if before is None else before + path


def _of_route(scope: MutableMapping[str, Any]) -> str | None:
    inner = scope.get("fastapi")
    if isinstance(inner, dict):
        # A route of an included router: with the prefix it was included under.
        path = getattr(inner.get("effective_route_context"), "path_format", None)
        if isinstance(path, str):
            return path
    route = scope.get("route")
    if route is None:
        return _of_endpoint(scope)
    if hasattr(route, "routes"):  # A mount, and nothing below it that is a route.
        return "/{path}"
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return path if isinstance(path, str) else None


def _of_endpoint(scope: MutableMapping[str, Any]) -> str | None:
    """Starlette before it said the route: the first one with this endpoint."""
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return None
    for route in _routes(scope.get("app")):
        if getattr(route, "endpoint", None) is endpoint:
            path = getattr(route, "path_format", None)
            return path if isinstance(path, str) else None
    return None


def _of_mounts(routes: Iterable[Any], rest: str, depth: int) -> str | None:
    """The templates of the mounts that `rest` went through."""
    if not rest:
        return ""
    for route in routes:
        if depth == 0 or not hasattr(route, "routes"):
            continue
        regex, path = getattr(route, "path_regex", None), getattr(route, "path", None)
        found = regex.match(rest + "/") if regex is not None else None
        if found is None or not isinstance(path, str):
            continue
        below = found.groupdict().get("path", "").rstrip("/")
        inner = _of_mounts(_routes(route), f"/{below}" if below else "", depth - 1)
        if inner is not None:
            return path + inner
    return None


def _routes(app: Any) -> Iterable[Any]:
    """The routes of an app, through the middlewares around it."""
    for _ in range(_DEPTH_MAX * 4):
        if app is None:
            return ()
        found = getattr(app, "routes", None)
        if found is not None:
            return tuple(found)
        app = getattr(app, "app", None)
    return ()
