"""The document as one HTML page that asks for nothing else.

The failure prevented: a reference that needs the internet, runs scripts from it, or cannot be read
without a mouse. The page is whole before any script runs; the script only filters. Its policy
allows this style and this script by their hashes, and no other thing. Limits: it shows, it sends no
requests; the line for `curl` does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from tailrace._openapi.schemas import Schema
from tailrace._openapi.types_as_html import code, limits, prose, type_of

STYLE: Final = Path(__file__).with_name("page.css")
SCRIPT: Final = Path(__file__).with_name("page.js")


def page(document: dict[str, Any], *, json_at: str = "") -> bytes:
    """The page of `document`; `json_at` is where the document itself is, for a link."""
    info = document["info"]
    style, script = STYLE.read_text("utf-8"), SCRIPT.read_text("utf-8")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    operations = _operations(document)
    link = f' · <a href="{escape(json_at)}">OpenAPI 3.1</a>' if json_at else ""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(info['title'])}</title><style>{style}</style></head>"
    )
    body = (
        '<body><a class="skip" href="#content">To the content</a>'
        f"{_navigation(document, operations)}"
        f'<main id="content" tabindex="-1"><header><h1>{escape(info["title"])}</h1>'
        f"<p class=quiet>version {code(info['version'])}{link}</p>"
        f"{prose(info['description'])}</header>"
        + "".join(_operation(document, *one) for one in operations)
        + _problems(document)
        + "<section><h2>Models</h2></section>"
        + "".join(_model(name, schema) for name, schema in _models(document))
        + '<p id="nothing" class="quiet" hidden>Nothing here has that name.</p>'
        f"</main><script>{script}</script></body></html>\n"
    )
    return (head + body).encode()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _operations(document: dict[str, Any]) -> list[tuple[str, str, Schema]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _models(document: dict[str, Any]) -> list[tuple[str, Schema]]:
    """Models of the service; problems have a section of their own."""
    components = document["components"]
    problems = {"Problem", *components["responses"]}
    return [
        (name, schema)
        for name, schema in components["schemas"].items()
        if "properties" in schema and name not in problems
    ]


def _navigation(document: dict[str, Any], operations: list[tuple[str, str, Schema]]) -> str:
    views = "".join(
        f'<li><a href="#view-{escape(one["operationId"])}"><b class=method>{method}</b> '
        f"{escape(path)}</a>"
        for method, path, one in operations
    )
    models = "".join(
        f'<li><a href="#model-{escape(name)}">{escape(name)}</a>' for name, _ in _models(document)
    )
    return (
        '<nav aria-label="Contents"><label for="search">Search</label>'
        '<input id="search" type="search" autocomplete="off" aria-describedby="keys">'
        '<p id="keys" class="quiet"><kbd>/</kbd> to search, <kbd>↓</kbd> <kbd>↑</kbd> to move, '
        '<kbd>Esc</kbd> to clear</p><p id="count" class="hidden" role="status"></p>'
        f"<details open><summary>Contents</summary><h2>Views</h2><ul>{views}</ul><h2>More</h2><ul>"
        f'<li><a href="#problems">Problems</a></ul><h2>Models</h2><ul>{models}</ul></details></nav>'
    )


def _operation(document: dict[str, Any], method: str, path: str, one: Schema) -> str:
    identity = escape(one["operationId"])
    reply = one["responses"]["200"]
    schema = _resolved(document, reply["content"]["application/json"]["schema"])
    statuses = " ".join(
        f'<a href="#problem-{status}">{status}</a>'
        for status in one["responses"]
        if status != "200"
    )
    parts = [
        _part(name, part, required=name in schema.get("required", ()))
        for name, part in schema.get("properties", {}).items()
    ]
    return (
        f'<section id="view-{identity}" data-search="{_words(method, path, one, schema)}">'
        f"<h2><b class=method>{method}</b> <span class=path>{escape(path)}</span></h2>"
        + prose(one.get("summary", ""))
        + prose(one.get("description", ""))
        + _parameters(one.get("parameters", []))
        + _request_body(one)
        + f"<h3>Reply</h3>{prose(reply['description'])}"
        + _table(("field", "", "type", "about"), parts)
        + f"<p>Problems: {statuses}</p>"
        + f"<pre tabindex=0>{escape(_curl(document, method, path))}</pre>"
        "</section>"
    )


def _request_body(one: Schema) -> str:
    content = one.get("requestBody", {}).get("content", {})
    return "".join(
        f"<h3>Body</h3><p>{code(kind)}: {type_of(row['schema'])}</p>"
        for kind, row in content.items()
    )


def _part(name: str, part: Schema, *, required: bool) -> tuple[str, ...]:
    strength = part.get("x-tailrace-strength", "")
    pill = f'<span class="pill {strength}">{strength}</span>' if strength else ""
    about = part.get("description", "")
    if strength == "weak":
        about = (
            f"when missing: `{json.dumps(part.get('x-tailrace-when-missing'), ensure_ascii=False)}`"
        )
    elif strength:
        about = "" if "Strong: without" in about else about
    if not required:
        about = f"{about} may be absent".strip()
    bounds = limits(part)
    return (code(name), pill, type_of(part), prose(about) + (f"<p>{bounds}</p>" if bounds else ""))


def _parameters(parameters: list[Schema]) -> str:
    if not parameters:
        return ""
    rows = [
        (
            code(one["name"]),
            one["in"] + (", required" if one["required"] else ""),
            type_of(one["schema"]),
            f"<p>{limits(one['schema'])}</p>{prose(one.get('description', ''))}",
        )
        for one in parameters
    ]
    return "<h3>Parameters</h3>" + _table(("name", "in", "type", "limits"), rows)


def _problems(document: dict[str, Any]) -> str:
    rows = []
    for name, response in document["components"]["responses"].items():
        status = name.removeprefix("Problem")
        rows.append(
            f'<dt id="problem-{status}">{status}</dt><dd>{prose(response["description"])}</dd>'
        )
    fields = document["components"]["schemas"]["Problem"]
    table = _fields(fields)
    return (
        '<section id="problems" data-search="problems errors"><h2>Problems</h2>'
        f"<p>{code('application/problem+json')}, RFC 9457.</p>{table}"
        f"<dl>{''.join(rows)}</dl></section>"
    )


def _model(name: str, schema: Schema) -> str:
    words = escape(f"{name} {' '.join(schema['properties'])}".lower())
    return (
        f'<section id="model-{escape(name)}" data-search="{words}"><h3>{escape(name)}</h3>'
        f"{prose(schema.get('description', ''))}{_fields(schema)}</section>"
    )


def _fields(schema: Schema) -> str:
    required = schema.get("required", ())
    rows = []
    for name, one in schema["properties"].items():
        bounds = limits(one)
        about = prose(one.get("description", "")) + (f"<p>{bounds}</p>" if bounds else "")
        rows.append((code(name), "" if name in required else "optional", type_of(one), about))
    return _table(("field", "", "type", "about"), rows)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{one}</th>' if one else "<td></td>" for one in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="wide" role="region" aria-label="Table" tabindex="0"><table><thead><tr>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _words(method: str, path: str, one: Schema, reply: Schema) -> str:
    """What the search finds a view by, its parts included."""
    found = [one["operationId"], method, path, one.get("summary", ""), *reply.get("properties", ())]
    return escape(" ".join(found).lower())


def _resolved(document: dict[str, Any], schema: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _curl(document: dict[str, Any], method: str, path: str) -> str:
    base = (document.get("servers") or [{"url": "http://localhost:8080"}])[0]["url"]
    verb = "" if method == "GET" else f"-X {method} "
    return f"curl {verb}{shlex.quote(base.rstrip('/') + path)}"
