"""Where an effective value came from.

The failure prevented: "which file sets this timeout?" asked during an incident. Precedence is
admin port, then flag, environment, file, code, default; a value travels with the name of its
source, for `tailrace explain --origin`, `/config` and the frame of an error about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tailrace._source import Place

Key: TypeAlias = tuple[str, ...]
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """An effective value, how its source is named, and where to point."""

    value: Any
    origin: str
    place: Place


class Overrides:
    """Values from flags, environment and file by key, e.g. `("upstreams", "orders", "timeout")`."""

    def __init__(self, settings: Mapping[Key, Setting] | None = None) -> None:
        self._settings = dict(settings or {})

    def pick(self, key: Key, declared: Any, default: Any, place: Place) -> Setting:
        """The override of `key`, else what the code declared (not `None`), else the default."""
        found = self._settings.get(key)
        if found is not None:
            return found
        if declared is not None:
            return Setting(declared, f"code {place}", place)
        return Setting(default, DEFAULT, place)

    def find(self, key: Key) -> Setting | None:
        """The override of `key`, if there is one."""
        return self._settings.get(key)

    def under(self, section: str) -> dict[str, Setting]:
        """Overrides of one flat section, e.g. `listen`."""
        return {key[1]: one for key, one in self._settings.items() if key[0] == section}
