"""Templates: `/users/{order.user_id}` as structure, never as a formatted string.

The failure prevented: a value that leaves its path segment (RELIABILITY S07). The text is split into
literal pieces and references; the plane encodes each value where it stands. `{{` and `}}` write
literal braces. Conversions and format specs (`{x!r}`, `{x:03}`) do not exist here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*")


@dataclass(frozen=True, slots=True)
class Literal:
    """Text as written, with its braces unescaped."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reference:
    """`{order.user_id}`: names split at the dots, and where it stands in the template."""

    names: tuple[str, ...]
    start: int
    end: int

    @property
    def text(self) -> str:
        return ".".join(self.names)


Fragment: TypeAlias = Literal | Reference


class TemplateError(ValueError):
    """The template cannot be read; `start` and `end` are the characters at fault."""

    def __init__(self, message: str, start: int, end: int, hint: str) -> None:
        super().__init__(message)
        self.start = start
        self.end = end
        self.hint = hint


def parse(template: str) -> list[Fragment]:
    """The pieces of `template` in order."""
    fragments: list[Fragment] = []
    text, begun, at = "", 0, 0
    while at < len(template):
        char = template[at]
        if template[at : at + 2] in ("{{", "}}"):
            text, at = text + char, at + 2
        elif char == "{":
            if text:
                fragments.append(Literal(text, begun, at))
            reference = _reference(template, at)
            fragments.append(reference)
            text, begun, at = "", reference.end, reference.end
        elif char == "}":
            raise TemplateError("`}` closes nothing", at, at + 1, "write `}}` for a literal brace")
        else:
            text, at = text + char, at + 1
    if text:
        fragments.append(Literal(text, begun, at))
    return fragments


def references(template: str) -> list[Reference]:
    """Only the references of `template`."""
    return [fragment for fragment in parse(template) if isinstance(fragment, Reference)]


def _reference(template: str, start: int) -> Reference:
    end = template.find("}", start)
    if end < 0:
        hint = "close it with `}`, or write `{{` for a literal brace"
        raise TemplateError("`{` is never closed", start, len(template), hint)
    name = template[start + 1 : end]
    if not _NAME.fullmatch(name):
        bare = re.split(r"[!:\[\( ]", name.strip(), maxsplit=1)[0]
        usable = bare if _NAME.fullmatch(bare) else "name"
        hint = f"a reference is a name and fields: `{{{usable}}}`"
        raise TemplateError(f"`{{{name}}}` is not a reference", start, end + 1, hint)
    return Reference(tuple(name.split(".")), start, end + 1)
