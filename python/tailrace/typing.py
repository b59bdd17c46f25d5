"""Names users annotate with.

The failure prevented: an `Any` that means "I did not say" standing where "I looked, and any JSON is
right" was meant (req 6.2). `Raw` says the second: valid JSON, passed on as the bytes that came,
unchecked and unprojected.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

RAW_MARK = "tailrace_raw"


class _RawMarker:
    """Tells the lowering that `Raw` was written, where pydantic alone would see `Any`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Raw"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.any_schema(metadata={RAW_MARK: True})


Raw: TypeAlias = Annotated[Any, _RawMarker()]
"""Any valid JSON value, unchecked."""

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

Json: TypeAlias = Any
"""A JSON value as Python has it: dicts, lists, text, numbers, booleans, `None`."""

Duration: TypeAlias = str | timedelta
"""`"80ms"`, `"1.5s"`, `"2m"`, `"250us"` or a `timedelta`; never a bare number."""

Value: TypeAlias = str | int | float | Decimal | UUID | date | Enum | None
"""What can stand in a call's template; `None` leaves a query pair or header out."""

Size: TypeAlias = str
"""`"4MiB"`, `"16KiB"`, `"500KB"`."""

Share: TypeAlias = str | float
"""`"10%"`, or a number from 0 to 1: 0.1."""

Percentile: TypeAlias = str
"""`"p95"`, `"p99.5"`."""
