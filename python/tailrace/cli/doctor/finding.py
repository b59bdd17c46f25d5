"""One finding of the doctor.

The failure prevented: a complaint without a way out; what is not ok carries its fix.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` is what is effective; `fix` says how to change it, when it should be changed."""

    name: str
    status: Status
    found: str
    fix: str = ""

    def __post_init__(self) -> None:
        if (self.status == "ok") == bool(self.fix):
            raise ValueError(f"{self.name}: a fix belongs to what is not ok, and only to that")

    def as_json(self) -> dict[str, str]:
        return asdict(self)
