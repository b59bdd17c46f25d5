"""The policies of an upstream, as values.

The failure prevented: a limit with a Python name, a blueprint name and a metric name that differ.
One frozen dataclass per policy, with the fields that the blueprint and the Rust policy have.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """At most `limit` calls in flight over the whole process; `queue` more may wait (req 4.4).

    `queue` left out takes `max(8, limit)`.
    """

    limit: int
    queue: int | None = None
