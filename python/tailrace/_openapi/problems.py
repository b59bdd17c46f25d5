"""The replies that are no view's own: one component per status, with every code it can carry.

The failure prevented: a documented error that never comes, or one that comes and is not documented.
Statuses and codes are the plane's own list (`tailrace._runtime.problems`); which of them a view can
give follows from its parameters and the strength of its parts.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

Schema = dict[str, Any]

TYPE: Final = "application/problem+json"
WORDS: Final = {413: "Content Too Large", 414: "URI Too Long"}
"""Where Python's names of a status depend on its version."""


def schema() -> Schema:
    """What every problem has (RFC 9457)."""
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "Why there is no reply (RFC 9457).",
        "properties": {
            "type": {"type": "string", "description": "`urn:tailrace:problem:` and the code."},
            "title": {"type": "string", "description": "The words of the status."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": {"type": "string", "description": "A stable word for what went wrong."},
            "detail": {"type": "string", "description": "One sentence for a person."},
            "part": {"type": "string", "description": "The strong part that failed."},
            "parameter": {"type": "string", "description": "The parameter that did not fit."},
            "request_id": text | {"description": "As in the header `x-request-id`."},
        },
        "required": ["type", "title", "status", "code", "detail", "request_id"],
    }


class Problems:
    """Problems by status, and what of them a view can give."""

    def __init__(self, known: list[tuple[str, str, int, str]], rated: bool = False) -> None:
        self._known = known
        self._rated = rated

    def statuses(self, view: Schema) -> list[int]:
        """Every status but 200 that a request for this view can end with."""
        absent = {"route"}
        if not self._rated and "rate" not in view:
            absent.add("rate")
        if not view["parameters"]:
            absent.add("parameter")
        if "body" not in view and not any(row["in"] == "form" for row in view["parameters"]):
            absent.add("body")
        if "handler" not in view:
            absent.add("handler")
        # A handler may call anything, and what it calls may fail as a part does.
        made = view.get("computed", {}).get("fields", [])
        computed = any(field["strength"] == "strong" for field in made)
        if not computed:
            absent.add("computed")
        strong = any(part["strength"] == "strong" for part in view.get("parts", ()))
        if not strong and not computed and "handler" not in view:
            absent.add("part")
        found = {status for scope, _, status, _ in self._known if scope not in absent}
        # Beyond the connection limit the plane answers 503 before it reads who is asking.
        return sorted(found | {503})

    def codes(self, status: int) -> dict[str, str]:
        """Codes of a status with their sentences."""
        return {code: detail for _, code, own, detail in self._known if own == status}

    def components(self, statuses: set[int]) -> tuple[dict[str, Schema], dict[str, Schema]]:
        """Schemas and responses of these statuses, by name."""
        schemas: dict[str, Schema] = {"Problem": schema()}
        responses: dict[str, Schema] = {}
        for status in sorted(statuses):
            codes = self.codes(status)
            if codes:
                schemas[f"Problem{status}"] = _narrowed(status, codes)
            responses[f"Problem{status}"] = _response(status, codes)
        return schemas, responses


def words(status: int) -> str:
    return WORDS.get(status) or HTTPStatus(status).phrase


def _narrowed(status: int, codes: dict[str, str]) -> Schema:
    """The whole schema again: generators merge `allOf` with a constant badly, or not at all."""
    every = schema()
    fields = {
        name: {key: value for key, value in one.items() if key != "description"}
        for name, one in every["properties"].items()
    }
    fields["status"] = {"type": "integer", "const": status}
    fields["code"] = {"type": "string", "enum": list(codes)}
    return {
        "type": "object",
        "description": f"A problem with status {status}.",
        "properties": fields,
        "required": every["required"],
    }


def _response(status: int, codes: dict[str, str]) -> Schema:
    listed = "".join(f"\n- `{code}`: {detail}" for code, detail in codes.items())
    body = f"#/components/schemas/Problem{status if codes else ''}"
    response: Schema = {
        "description": f"{words(status)}.\n{listed}" if listed else f"{words(status)}.",
        "headers": {
            "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
            "Cache-Control": {"$ref": "#/components/headers/NeverStored"},
        },
        "content": {TYPE: {"schema": {"$ref": body}}},
    }
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response["headers"]["Retry-After"] = {"$ref": "#/components/headers/RetryAfterWait"}
        response["headers"]["RateLimit"] = {"$ref": "#/components/headers/RateLimit"}
        response["headers"]["RateLimit-Policy"] = {"$ref": "#/components/headers/RateLimitPolicy"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["headers"]["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
        response["description"] += "\n\nBeyond the connection limit there is no body."
    return response
