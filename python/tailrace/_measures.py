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
CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REPLIES: Final = "What clients got: complete, degraded, failed (5xx) or rejected (4xx) replies"
_DURATION: Final = "http_server_request_duration_seconds"
_NAMES: Final = {
    _DURATION: ("histogram", "From the head to the assembled reply"),
    "tailrace_requests_total": ("counter", "Replies by view and status"),
    "tailrace_replies_total": ("counter", _REPLIES),
    "tailrace_degraded_replies_total": ("counter", "Replies with at least one part missing"),
    "tailrace_cancelled_requests_total": ("counter", "Clients that left before their reply"),
    "tailrace_unmatched_requests_total": ("counter", "Requests that reached no view"),
    "tailrace_in_flight_requests": ("gauge", "Requests in flight"),
}


class Durations:
    """A histogram."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    @property
    def count(self) -> int:
        return sum(self.buckets)


class View:
    """The numbers of one route."""

    __slots__ = ("cancelled", "degraded", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, Durations] = {}
        self.degraded = 0
        self.cancelled = 0

    def replied(self, status: int, seconds: float, *, degraded: bool) -> None:
        """One reply; a status that HTTP does not have counts as 0."""
        known = status if 100 <= status <= 599 else 0
        own = self.statuses.get(known)
        if own is None:
            own = self.statuses[known] = Durations()
        own.buckets[bisect_left(BOUNDS, seconds)] += 1
        own.seconds += seconds
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
        """All series as Prometheus' text, those of the client's plane with them."""
        lines = list(_without(_NAMES, of_client))
        for name, (kind, help_) in _NAMES.items():
            lines += [f"# HELP {name} {help_}", f"# TYPE {name} {kind}", *self._series(name)]
        return "\n".join([*lines, ""])

    def _series(self, name: str) -> Iterator[str]:
        if name == "tailrace_unmatched_requests_total":
            for status, own in sorted(self._unmatched.statuses.items()):
                yield f'{name}{{status="{_status(status)}"}} {own.count}'
        elif name == "tailrace_in_flight_requests":
            yield f"{name} {self.in_flight}"
        else:
            for (method, template), view in self._named():
                label = f"{method} {template}".strip()
                yield from _of_view(name, label, (method, template), view)
            if name == _DURATION:
                yield from _durations("_unmatched", ("", ""), self._unmatched)

    def _named(self) -> Iterator[tuple[tuple[str, str], View]]:
        for (method, template), view in sorted(self._views.items(), key=lambda one: one[0][::-1]):
            yield (method, _escaped(template)), view
        if self._other.statuses or self._other.cancelled:
            yield ("", OTHER), self._other


def _of_view(name: str, label: str, route: tuple[str, str], view: View) -> Iterator[str]:
    if name == _DURATION:
        yield from _durations(label, route, view)
    elif name == "tailrace_requests_total":
        for status, own in sorted(view.statuses.items()):
            yield f'{name}{{view="{label}",status="{_status(status)}"}} {own.count}'
    elif name == "tailrace_replies_total":
        for outcome, count in _outcomes(view):
            yield f'{name}{{view="{label}",outcome="{outcome}"}} {count}'
    elif name == "tailrace_degraded_replies_total":
        yield f'{name}{{view="{label}"}} {view.degraded}'
    else:
        yield f'{name}{{view="{label}"}} {view.cancelled}'


def _outcomes(view: View) -> Iterator[tuple[str, int]]:
    def of(first: int, end: int) -> int:
        return sum(own.count for status, own in view.statuses.items() if first <= status < end)

    yield "complete", max(0, of(200, 400) - view.degraded)
    yield "degraded", view.degraded
    yield "failed", of(500, 600)
    yield "rejected", of(400, 500)


def _durations(label: str, route: tuple[str, str], view: View) -> Iterator[str]:
    method, template = route
    known = {"view": label, "http_route": template if method else "", "http_request_method": method}
    for status, own in sorted(view.statuses.items()):
        labels = known | {
            "http_response_status_code": _status(status),
            "url_scheme": "http",
            "error_type": str(status) if status >= 500 else "",
        }
        text = ",".join(f'{key}="{value}"' for key, value in labels.items() if value)
        total = 0
        for bound, count in zip((*map(repr, BOUNDS), "+Inf"), own.buckets, strict=True):
            total += count
            yield f'{_DURATION}_bucket{{{text},le="{bound}"}} {total}'
        yield f"{_DURATION}_sum{{{text}}} {own.seconds!r}"
        yield f"{_DURATION}_count{{{text}}} {total}"


def _without(names: Iterable[str], text: str) -> Iterator[str]:
    """The lines of a plane's metrics, less the families that are counted here."""
    own = set(names)
    skip = False
    for line in text.splitlines():
        if line.startswith("# HELP "):
            skip = line.split(" ", 3)[2] in own
        if not skip:
            yield line


def _status(status: int) -> str:
    return str(status) if status else OTHER


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
