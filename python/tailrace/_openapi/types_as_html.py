"""JSON Schema in words, as HTML: `list of Item, 1 to 64`.

The failure prevented: a reference whose reader has to know JSON Schema, or a description that
becomes markup. Whatever comes from a declaration is escaped here and nowhere else.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any, Final

from tailrace._openapi.schemas import DECIMAL, PRINTABLE, Schema

LIMITS: Final = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
)
SIZES: Final = (
    ("minLength", "maxLength", "character"),
    ("minItems", "maxItems", "item"),
    ("minProperties", "maxProperties", "entry"),
)
NAMES: Final = {"string": "text", "number": "number", "integer": "integer", "boolean": "boolean"}


def code(text: object) -> str:
    return f"<code>{escape(str(text))}</code>"


def value(found: Any) -> str:
    return code(json.dumps(found, ensure_ascii=False))


def prose(text: str) -> str:
    """Paragraphs and lists of plain text; `code` in backquotes is the only markup."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        if lines and all(line.startswith("- ") for line in lines):
            items = "".join(f"<li>{_inline(line[2:])}" for line in lines)
            blocks.append(f"<ul>{items}</ul>")
        elif block:
            blocks.append(f"<p>{_inline(block)}</p>")
    return "".join(blocks)


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def type_of(schema: Schema) -> str:
    """What kind of value this is, with links to models."""
    if "$ref" in schema:
        return model_link(schema["$ref"])
    if "enum" in schema:
        return " | ".join(value(one) for one in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(type_of(one) for one in schema[key])
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return " or ".join(_kind(one, schema) for one in kinds) or "any JSON"


def _kind(kind: str, schema: Schema) -> str:
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(type_of(one) for one in schema['prefixItems'])}]"
        return f"list of {type_of(schema.get('items', {}))}"
    if kind == "object":
        return f"object of {type_of(schema.get('additionalProperties', {}))}"
    if kind == "string" and schema.get("pattern") == DECIMAL:
        return "decimal as text"
    if kind == "string" and "format" in schema:
        return escape(schema["format"])
    return NAMES.get(kind, kind)


def limits(schema: Schema) -> str:
    """Bounds in words; those of items stand with the items."""
    found = [words.format(schema[name]) for name, words in LIMITS if name in schema]
    for least, most, noun in SIZES:
        if sized := _sized(schema.get(least), schema.get(most), noun):
            found.append(sized)
    pattern = schema.get("pattern")
    if pattern not in (None, DECIMAL, PRINTABLE):
        found.append(f"matches {code(pattern)}")
    if pattern == PRINTABLE or "allOf" in schema:
        found.append("no control characters")
    if "items" in schema and (inner := limits(schema["items"])):
        found.append(f"each {inner}")
    if "not" in schema:
        found.append("not " + " or ".join(value(one) for one in schema["not"]["enum"]))
    if "default" in schema:
        found.append(f"default {value(schema['default'])}")
    return ", ".join(found)


def _sized(least: int | None, most: int | None, noun: str) -> str:
    if least is None and most is None:
        return ""
    plural = "entries" if noun == "entry" else f"{noun}s"
    if most is None:
        return f"{least} {noun if least == 1 else plural} or more"
    if least == most:
        return f"exactly {most} {noun if most == 1 else plural}"
    start = f"{least} to " if least else "at most "
    return f"{start}{most} {noun if most == 1 else plural}"


def model_link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f'<a href="#model-{escape(name)}">{escape(name)}</a>'
