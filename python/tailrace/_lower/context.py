"""What every step of the lowering shares: problems, origins, shapes.

The failure prevented: lowering that stops at the first mistake. A step reports and carries on with a
value that lets later steps run; only the caller decides that there is no blueprint.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tailrace._origin import Key, Overrides, Setting
from tailrace._shapes import Shapes, Walk
from tailrace._source import Place, argument
from tailrace.errors import Problem
from tailrace.quantities import QuantityError, duration_ms, size_bytes


class Context:
    """One lowering."""

    def __init__(self, overrides: Overrides) -> None:
        self.problems: list[Problem] = []
        self.origins: dict[str, str] = {}
        self.overrides = overrides
        self.shapes = Shapes()
        self.walk = Walk(self.shapes, self.problem)

    def problem(
        self,
        code: str,
        message: str,
        place: Place | None,
        *,
        label: str = "",
        notes: Iterable[str] = (),
        helps: Iterable[str] = (),
    ) -> None:
        """Adds a problem; the same one met again (a shared model, a shared call) counts once."""
        found = Problem(code, message, place, label, tuple(notes), tuple(helps))
        if found not in self.problems:
            self.problems.append(found)

    def setting(self, key: Key, declared: Any, default: Any, place: Place, path: str) -> Setting:
        """The effective value of `key`; its origin is noted at the blueprint `path`."""
        found = self.overrides.pick(key, declared, default, place)
        self.origins[path] = found.origin
        return found

    def duration(self, setting: Setting, subject: str, fallback: float = 1.0) -> float:
        """Milliseconds of `setting`, or `fallback` after reporting why not."""
        try:
            return duration_ms(setting.value)
        except QuantityError as error:
            self.quantity(error, subject, setting.place)
            return fallback

    def size(self, setting: Setting, subject: str) -> int | None:
        if setting.value is None:
            return None
        try:
            return size_bytes(setting.value)
        except QuantityError as error:
            self.quantity(error, subject, setting.place)
            return None

    def quantity(self, error: QuantityError, subject: str, place: Place) -> None:
        self.problem(error.code, f"{subject}: {error}", place, helps=(error.hint,))

    def count(self, setting: Setting, subject: str, code: str, least: int, most: int) -> int:
        """A whole number within limits."""
        value = setting.value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            helps = (f"a whole number from {least} to {most}",)
            message = f"{subject} cannot be {value!r}"
            self.problem(code, message, setting.place, helps=helps)
            return least
        return value


def at(place: Place, name: str, position: int | None = None) -> Place:
    """The argument `name` of the call at `place`, found only when an error shows it."""
    return argument(place, name, position)
