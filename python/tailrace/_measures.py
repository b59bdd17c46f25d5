"""What the routes of an ASGI app cost, counted under the names that a service's `/metrics` has.

The failure prevented: two dashboards, one for views and one for the routes that are not views yet;
and a series per path. A view here is a method and a route's template; there are at most
`VIEWS_MAX`, the rest is `other`, and what reached no route is counted by status only.

One event loop writes; who reads sees whole numbers, since nothing here is done in two threads.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

VIEWS_MAX: Final = 512
OTHER: Final = "other"
BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
"""Upper bounds of the histogram's buckets, in seconds: the plane's."""
CONTENT_TYPE: Final = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_END: Final = "# EOF\n"
_NAMES: Final = {
    "tailrace_unmatched_requests": ("counter", "Requests that reached no view"),
    "tailrace_requests": ("counter", "Replies by view and status"),
    "tailrace_degraded_replies": ("counter", "Replies with at least one part missing"),
    "tailrace_cancelled_requests": ("counter", "Clients that left before their reply"),
    "tailrace_in_flight_requests": ("gauge", "Requests in flight"),
    "tailrace_request_duration_seconds": ("histogram", "From head to reply"),
}


class View:
    """The numbers of one route."""

    __slots__ = ("buckets", "cancelled", "degraded", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.degraded = 0
        self.cancelled = 0

    def replied(self, status: int, seconds: float, *, degraded: bool) -> None:
        """One reply; a status that HTTP does not have counts as 0."""
        known = status if 100 <= status <= 599 else 0
        self.statuses[known] = self.statuses.get(known, 0) + 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        if degraded:
            self.degraded += 1


class Measures:
    """The numbers of one app."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._views: dict[tuple[str, str], View] = {}
        self._other = View()
        self._unmatched = View()

    def view(self, method: str, template: str | None) -> View:
        """Where the numbers of this route are."""
        if template is None:
            return self._unmatched
        key = (method, template)
        found = self._views.get(key)
        if found is None:
            if method not in _METHODS or len(self._views) >= VIEWS_MAX:
                return self._other
            found = self._views[key] = View()
        return found

    def text(self, of_client: str = "") -> str:
        """All series as OpenMetrics text, those of the client's plane with them."""
        lines = list(_without(_NAMES, of_client))
        for name, (kind, help_) in _NAMES.items():
            lines += [f"# HELP {name} {help_}.", f"# TYPE {name} {kind}", *self._series(name)]
        return "\n".join([*lines, _END])

    def _series(self, name: str) -> Iterator[str]:
        if name == "tailrace_unmatched_requests":
            for status, count in sorted(self._unmatched.statuses.items()):
                yield f'{name}_total{{status="{_status(status)}"}} {count}'
        elif name == "tailrace_in_flight_requests":
            yield f"{name} {self.in_flight}"
        else:
            for label, view in self._labelled():
                yield from _of_view(name, f'view="{label}"', view)

    def _labelled(self) -> Iterator[tuple[str, View]]:
        for (method, template), view in sorted(self._views.items(), key=lambda one: one[0][::-1]):
            yield f"{method} {_escaped(template)}", view
        if self._other.statuses or self._other.cancelled:
            yield OTHER, self._other


def _of_view(name: str, label: str, view: View) -> Iterator[str]:
    if name == "tailrace_requests":
        for status, count in sorted(view.statuses.items()):
            yield f'{name}_total{{{label},status="{_status(status)}"}} {count}'
    elif name == "tailrace_degraded_replies":
        yield f"{name}_total{{{label}}} {view.degraded}"
    elif name == "tailrace_cancelled_requests":
        yield f"{name}_total{{{label}}} {view.cancelled}"
    else:
        yield f"{name}_sum{{{label}}} {view.seconds!r}"
        yield f"{name}_count{{{label}}} {sum(view.buckets)}"
        total = 0
        for bound, count in zip((*map(repr, BOUNDS), "+Inf"), view.buckets, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}",{label}}} {total}'


def _without(names: Iterable[str], text: str) -> Iterator[str]:
    """The lines of a plane's metrics, less the families that are counted here."""
    own = set(names)
    skip = False
    for line in text.splitlines():
        if line.startswith("# HELP "):
            skip = line.split(" ", 3)[2] in own
        if not skip and line != _END.strip():
            yield line


def _status(status: int) -> str:
    return str(status) if status else OTHER


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
