"""A TOML file with the line of each key.

The failure prevented: "unknown key `timeuot`" without a line, in a file of 200. The standard parser
gives values only, so headers and keys are found again by a scan of the lines. Keys inside inline
tables and multi-line values are shown at the line of the key they belong to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace._origin import Key
from tailrace._source import Place
from tailrace.errors import ConfigError, Problem

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
_ASSIGNMENT = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[^\s.=]+)*)\s*=""")
_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """What a file says, and where; no places: it is no file."""

    path: str
    data: dict[str, Any]
    places: dict[Key, Place]

    def place(self, key: Key) -> Place:
        """The line of `key`, or of the nearest thing around it."""
        while key:
            if key in self.places:
                return self.places[key]
            key = key[:-1]
        return Place(self.path, 1 if self.places else 0)


def read(path: str) -> TomlFile:
    """The file at `path`; raises `ConfigError` when it cannot be read."""
    import tomllib

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        helps = ("give the path of a TOML file, or leave the option out",)
        message = f"cannot read the config file `{path}`: {reason}"
        raise ConfigError(Problem("TR206", message, Place(path), helps=helps)) from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = _POSITION.sub("", str(error)).strip()
        place = _failure(path, text, str(error))
        raise ConfigError(Problem("TR204", f"not TOML: {message}", place)) from error
    return TomlFile(path, data, dict(_places(path, text)))


def _failure(path: str, text: str, message: str) -> Place:
    found = _POSITION.search(message)
    lines = text.splitlines() or [""]
    line, column = (int(n) for n in found.groups()) if found else (len(lines), 1)
    return Place(path, min(line, len(lines)), column - 1, line, column)


def _places(path: str, text: str) -> list[tuple[Key, Place]]:
    found: list[tuple[Key, Place]] = []
    table: Key = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.fullmatch(line)
        match = header or _ASSIGNMENT.match(line)
        if match is None:
            continue
        names = tuple(part.strip(" \"'") for part in match.group(1).split("."))
        start = len(line[: match.start(1)].encode())
        end = start + len(match.group(1).encode())
        place = Place(path, number, start, number, end)
        if header:
            table = names
            found.append((table, place))
        else:
            found += [(table + names[: n + 1], place) for n in range(len(names))]
    return found
