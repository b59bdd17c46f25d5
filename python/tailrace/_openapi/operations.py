"""A view as an operation: its parameters, and its reply with what may be missing in it.

The failure prevented: a client that learns from an outage which fields can be null. The reply's
schema says of each part whether it is strong or weak and what stands in a weak one's place
(req 8.1, 10.2); `degraded` can name the weak parts only. Limits: a replacement is described, not
told apart from a real value by type: `degraded` is how a client knows.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from tailrace._openapi.problems import Problems
from tailrace._openapi.schemas import PRINTABLE, Schema, Schemas, with_description
from tailrace.quantities import duration_text

# OpenAPI has its own ways to say these, and ignores them as parameters.
UNSPOKEN_HEADERS: Final = ("accept", "authorization", "content-type")
REQUEST_ID: Final = {"type": "string", "minLength": 1, "maxLength": 128}


class Operations:
    """Operations of one blueprint."""

    def __init__(
        self,
        blueprint: Schema,
        schemas: Schemas,
        problems: Problems,
        results: Mapping[str, Schema],
        made: Mapping[str, Mapping[str, Schema]],
    ) -> None:
        self._envelope: dict[str, str] = blueprint["envelope"]
        self._rated = "rate" in blueprint.get("admission", {})
        self._upstreams = {one["name"]: one for one in blueprint["upstreams"]}
        self._schemas = schemas
        self._sent = schemas.sent()
        self._problems = problems
        self._results = results
        self._made = made

    def of(self, view: Schema, doc: str) -> Schema:
        """The operation of `view`; `doc` is its class's own docstring."""
        summary, _, rest = doc.partition("\n\n")
        about = [rest.strip()] if rest.strip() else []
        about.append(f"Answered within {duration_text(view['deadline_ms'])}, or with a problem.")
        operation: Schema = {"operationId": view["name"]}
        if summary:
            operation["summary"] = " ".join(summary.split())
        operation["description"] = "\n\n".join(about)
        named = [one for one in view["parameters"] if one["in"] != "form"]
        parameters = [self._parameter(view, one) for one in named]
        parameters += self._forwarded(view)
        if parameters:
            operation["parameters"] = parameters
        if body := self._request_body(view):
            operation["requestBody"] = body
        operation["responses"] = {"200": self._reply(view)} | {
            str(status): {"$ref": f"#/components/responses/Problem{status}"}
            for status in self._problems.statuses(view)
        }
        operation["x-tailrace-deadline-ms"] = view["deadline_ms"]
        return operation

    def _parameter(self, view: Schema, row: Schema) -> Schema:
        schema = self._schemas.shape(self._schemas.inner(row["shape"]))
        if isinstance(schema.get("type"), list) and "enum" not in schema:
            schema = {**schema, "type": "string"}  # A decimal, which arrives as text here.
        elif row["in"] != "header" and schema.get("type") == "string" and "format" not in schema:
            schema = _printable(schema)
        if row["in"] == "path" and schema.get("type") == "string" and _in_a_path(view, row):
            schema = {**schema, "not": {"enum": [".", ".."]}}
        if "default" in row:
            schema = {**schema, "default": _typed(schema, row["default"])}
        return {
            "name": row.get("wire_name") or row["name"],
            "in": row["in"],
            "required": row["required"],
            "schema": schema,
        }

    def _request_body(self, view: Schema) -> Schema | None:
        """The JSON document or the form that a request has."""
        if "body" in view:
            schema = self._sent.shape(view["body"]["shape"])
            return {"required": True, "content": {"application/json": {"schema": schema}}}
        fields = [self._parameter(view, one) for one in view["parameters"] if one["in"] == "form"]
        if not fields:
            return None
        schema = {
            "type": "object",
            "properties": {one["name"]: one["schema"] for one in fields},
            "required": [one["name"] for one in fields if one["required"]],
        }
        required = bool(schema["required"])
        content = {"application/x-www-form-urlencoded": {"schema": schema}}
        return {"required": required, "content": content}

    def _forwarded(self, view: Schema) -> list[Schema]:
        """Headers that the view reads only to pass them on."""
        declared = {row.get("wire_name") for row in view["parameters"] if row["in"] == "header"}
        names = [
            name.lower()
            for part in view["parts"]
            for name in self._upstreams[part["upstream"]].get("forward_headers", ())
        ]
        told = [name for name in dict.fromkeys(names) if name not in declared]
        return [
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": "Passed on as it is.",
                "schema": {"type": "string"},
            }
            for name in sorted(told)
            if name not in UNSPOKEN_HEADERS
        ]

    def _reply(self, view: Schema) -> Schema:
        name = "".join(word.capitalize() for word in view["name"].replace("-", "_").split("_"))
        if "handler" in view:
            return self._result(view, name)
        component = self._schemas.claim(f"{name}Reply")
        self._schemas.components[component] = {}  # Its place, before the models of its parts.
        schema = self._list(view) if "collection" in view else self._body(view)
        self._schemas.components[component] = schema
        listed = self._listed(view)
        headers = self._told(view)
        text = "Every part is there."
        if any(map(self._is_kept, view["parts"])):
            headers["Tailrace-Sources"] = {"$ref": "#/components/headers/Sources"}
        if listed:
            headers["Tailrace-Degraded"] = {"$ref": "#/components/headers/Degraded"}
            headers["Cache-Control"] = {"$ref": "#/components/headers/DegradedIsNotStored"}
            names = ", ".join(f"`{name}`" for name in listed)
            own = self._envelope["degraded"]
            if "collection" in view:
                own = "tailrace-degraded"
            text = f"Every strong part is there; `{own}` says which calls of {names} failed."
        reference = {"$ref": f"#/components/schemas/{component}"}
        content = {"application/json": {"schema": reference}}
        return {"description": text, "headers": headers, "content": content}

    def _told(self, view: Schema) -> Schema:
        """Headers of every reply to a view."""
        headers: Schema = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
        if "rate" in view or self._rated:
            headers["RateLimit"] = {"$ref": "#/components/headers/RateLimit"}
            headers["RateLimit-Policy"] = {"$ref": "#/components/headers/RateLimitPolicy"}
        return headers

    def _listed(self, view: Schema) -> list[str]:
        """Parts that `degraded` can name: weak ones, and those an older answer may stand in for."""
        return [
            part["name"]
            for part in view["parts"]
            if part["strength"] == "weak" or self._is_kept(part)
        ] + [field["name"] for field in _computed(view) if field["strength"] == "weak"]

    def _is_kept(self, part: Schema) -> bool:
        """Whether an older answer may stand in for the part's own, strong or weak."""
        kept = "cache" in part or "cache" in self._upstreams[part["upstream"]]
        return kept and part["method"] == "GET"

    def _result(self, view: Schema, name: str) -> Schema:
        """What a handler returns: its own model, without an envelope."""
        component = self._schemas.claim(f"{name}Reply")
        self._schemas.components[component] = self._own(component, self._results[view["name"]])
        headers = self._told(view) | {
            "Tailrace-Degraded": {"$ref": "#/components/headers/Degraded"},
            "Cache-Control": {"$ref": "#/components/headers/DegradedIsNotStored"},
        }
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{component}"}}}
        return {"description": "What it returned.", "headers": headers, "content": content}

    def _own(self, component: str, schema: Schema) -> Schema:
        """A schema of Python's making, whose definitions become components of this name."""
        text = json.dumps(schema).replace("#/$defs/", f"#/components/schemas/{component}")
        found: Schema = json.loads(text)
        for own, inner in found.pop("$defs", {}).items():
            self._schemas.components[f"{component}{own}"] = inner
        return found

    def _field(self, view: Schema, field: Schema) -> Schema:
        """A field that Python makes."""
        words = f"{view['name']}-{field['name']}".replace("-", "_").split("_")
        component = self._schemas.claim("".join(word.capitalize() for word in words))
        own = self._own(component, self._made[view["name"]][field["name"]])
        if "properties" in own:  # A model has a name; a plain value stands where it is used.
            self._schemas.components[component] = own
            own = {"$ref": f"#/components/schemas/{component}"}
        text = "Computed. Strong: without it there is no reply."
        told: Schema = {"x-tailrace-strength": field["strength"]}
        if field["strength"] == "weak":
            told["x-tailrace-when-missing"] = field.get("default")
            text = f"Computed. Weak: {_stands_in(field)} when it is missing."
        return with_description(own, text) | told

    def _body(self, view: Schema) -> Schema:
        listed = self._listed(view)
        properties: Schema = {}
        absent: set[str] = set()
        made = deque(_computed(view))
        for index, part in enumerate(view["parts"]):
            while made and made[0]["after"] <= index:
                field = made.popleft()
                properties[field["name"]] = self._field(view, field)
            if part.get("merge"):
                fields = self._merged(part)
                properties |= fields["properties"]
                always = fields.get("required", ()) if part["strength"] == "strong" else ()
                absent |= set(fields["properties"]) - set(always)
            elif "append" not in part:
                properties[part["name"]] = self._continued(view, part)
        properties |= {field["name"]: self._field(view, field) for field in made}
        missing: Schema = {"type": "array", "items": {"type": "string"}, "maxItems": len(listed)}
        if listed:
            missing["items"] = {"type": "string", "enum": listed}
            missing["uniqueItems"] = True
        own: Schema = {
            "degraded": missing | {"description": "Parts whose call failed, in this order."},
            "request_id": REQUEST_ID | {"description": "As in the header `x-request-id`."},
            "served_at_ms": {
                "type": "integer",
                "minimum": 0,
                "description": "When the reply was made, in milliseconds since 1970.",
            },
        }
        properties |= {self._envelope[name]: schema for name, schema in own.items()}
        return {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name not in absent],
            "additionalProperties": False,
        }

    def _merged(self, part: Schema) -> Schema:
        """The fields of a part that stand in the reply itself."""
        name = self._schemas.shape(self._schemas.inner(part["shape"]))["$ref"].rpartition("/")[2]
        fields: Schema = self._schemas.components[name]
        # Without an answer they are missing, whatever the model says.
        return fields if not part.get("when") else fields | {"required": []}

    def _continued(self, view: Schema, part: Schema) -> Schema:
        """A part, and the lists that continue its own."""
        schema = self._part(part)
        more = [one for one in view["parts"] if one.get("append") == part["name"]]
        if not more or "items" not in schema:
            return schema
        kinds = [schema["items"]]
        for one in more:
            items = self._part(one).get("items", {})
            kinds += [] if items in kinds else [items]
        limits = ("minItems", "maxItems")
        schema = {name: value for name, value in schema.items() if name not in limits}
        return schema | {"items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}}

    def _list(self, view: Schema) -> Schema:
        """A reply that is one list."""
        found = next(part for part in view["parts"] if part["name"] == view["collection"])
        schema = self._continued(view, found)
        return schema | {"type": "array"}

    def _part(self, part: Schema) -> Schema:
        schema = self._schemas.shape(part["shape"])
        each = part.get("each")
        if each is not None:
            kind = ["array", "null"] if part["strength"] == "weak" and "default" not in part else ""
            schema = {"type": kind or "array", "items": schema, "maxItems": each["items_max"]}
        text = "Strong: without it there is no reply."
        told: Schema = {"x-tailrace-strength": part["strength"]}
        if part["strength"] == "weak":
            told["x-tailrace-when-missing"] = part.get("default")
            text = f"Weak: {_stands_in(part)} when it is missing."
            if each is not None:
                text = f"Weak: a missing item is null; {_stands_in(part)} when all are missing."
        elif "default" in part:
            text = f"Strong; {_stands_in(part)} when its source has nothing."
        return with_description(schema, text) | told


def _computed(view: Schema) -> list[Schema]:
    fields: list[Schema] = view.get("computed", {}).get("fields", [])
    return fields


def _stands_in(part: Schema) -> str:
    return f"`{json.dumps(part.get('default'), ensure_ascii=False, separators=(',', ':'))}`"


def _printable(schema: Schema) -> Schema:
    """Text of a URL holds no control characters, whatever else is said of it."""
    if "enum" in schema:
        return schema
    if "pattern" in schema:
        return {**schema, "allOf": [{"pattern": PRINTABLE}]}
    return {**schema, "pattern": PRINTABLE}


def _in_a_path(view: Schema, row: Schema) -> bool:
    """Whether the value becomes a segment of a call, where `.` and `..` cannot stand."""
    return any(
        piece.get("parameter") == row["name"] for part in view["parts"] for piece in part["path"]
    )


def _typed(schema: Schema, text: str) -> Any:
    """A default as JSON; the blueprint holds what a request would have said."""
    if schema.get("type") in ("integer", "number", "boolean"):
        return json.loads(text)
    values = schema.get("enum", ())
    return text if not values or text in values else json.loads(text)
