"""Which series and labels a query of Prometheus names, read as text.

Prevents a check that only knows the queries it was written for: what is left of an expression after
strings, numbers, durations, functions and words of the language are gone are names of series.
"""

from __future__ import annotations

import re
from typing import Final

WORDS: Final = {
    "and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool",
    "offset", "inf", "nan",
}  # fmt: skip
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_MATCHERS: Final = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^}]*)\}")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^)]*)\)")
_NAME: Final = re.compile(r"[A-Za-z_:][\w:]*")


def _plain(expression: str) -> str:
    """Without what stands in quotes and in square brackets."""
    return re.sub(r"\[[^\]]*\]", "", _STRING.sub('""', expression))


def matchers(expression: str) -> list[tuple[str, set[str]]]:
    """Each series with braces and the labels that they name."""
    found = []
    for name, inner in _MATCHERS.findall(_plain(expression)):
        found.append((name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inner))))
    return found


def groupings(expression: str) -> set[str]:
    """Every label that the result is grouped or joined by."""
    found: set[str] = set()
    for inner in _GROUPING.findall(_plain(expression)):
        found |= set(re.findall(r"\w+", inner))
    return found


def series(expression: str) -> set[str]:
    """Every name of a series."""
    text = _GROUPING.sub(" ", re.sub(r"\{[^}]*\}", "", _plain(expression)))
    text = re.sub(r"(?<![\w:])\d[\w.]*", " ", text)
    found = set()
    for name in _NAME.finditer(text):
        called = text[name.end() :].lstrip().startswith("(")
        if not called and name[0].lower() not in WORDS:
            found.add(name[0])
    return found
