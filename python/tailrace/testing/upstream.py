"""A scripted upstream: answers by route, faults over all of them, and what it received.

The failure prevented: a fake that answers 200 to a call nobody meant to make. A request that no
route fits is answered 501 and kept, so that a wrong path shows; what came in can be asked for and
asserted. Limits: the last 1 000 requests are kept (all are counted), 256 connections at once.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Self, TypeAlias
from urllib.parse import unquote

from tailrace.quantities import duration_ms
from tailrace.testing.answers import Answer, Slow, as_answer, status
from tailrace.testing.serving import Served
from tailrace.typing import Duration

KEPT: Final = 1_000
NOT_SCRIPTED: Final = 501
_PLACEHOLDER: Final = re.compile(r"\\\{([A-Za-z_][A-Za-z0-9_]*)\\\}")


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in."""

    method: str
    target: str
    """Path and query, as they were on the wire."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case; the first value of each."""
    body: bytes = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    """What stood in the placeholders of the route, decoded."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """Decoded; the first value of each key."""
        found: dict[str, str] = {}
        for pair in filter(None, self.target.partition("?")[2].split("&")):
            key, _, value = pair.partition("=")
            found.setdefault(unquote(key), unquote(value.replace("+", " ")))
        return found

    def json(self) -> Any:
        return json.loads(self.body)


Maker: TypeAlias = Callable[[Received], object]


@dataclass(slots=True)
class _Route:
    """Answers for requests of one form; the last one stays."""

    text: str
    method: str
    pattern: re.Pattern[str]
    names: int
    answers: list[object]
    calls: int = 0

    def next(self) -> object:
        answer = self.answers[min(self.calls, len(self.answers) - 1)]
        self.calls += 1
        return answer


class FakeUpstream:
    """An upstream that says what a test tells it to.

    `routes` by `"/orders/{id}"` or `"POST /orders"`: JSON data, an `Answer`, or a function of the
    request that returns either. It serves while it is entered, or while a `TestPlane` runs over it.
    """

    def __init__(self, routes: Mapping[str, object] | None = None) -> None:
        self._routes: list[_Route] = []
        self._fault: Answer | Slow | None = None
        self._fault_left: int | None = None
        self._kept: deque[Received] = deque(maxlen=KEPT)
        self._count = 0
        self._unmatched: deque[str] = deque(maxlen=KEPT)
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._served: Served | None = None
        for route, answer in (routes or {}).items():
            self.on(route, answer)

    def on(self, route: str, *answers: object) -> Self:
        """Scripts a route anew: several answers come one after the other, the last one stays."""
        method, _, path = route.rpartition(" ")
        if not path.startswith("/") or not answers:
            raise ValueError(
                f"`{route}` is no route with an answer: write on('/orders/{{id}}', {{...}}) or"
                " on('POST /orders', ok(...))"
            )
        pattern = re.compile(_PLACEHOLDER.sub(r"(?P<\1>[^/]+)", re.escape(path)))
        made = _Route(route, method, pattern, pattern.groups, list(answers))
        with self._changed:
            self._routes = [one for one in self._routes if one.text != route]
            self._routes.append(made)
            self._routes.sort(key=lambda one: one.names)  # A static route wins over a placeholder.
        return self

    def fault(self, fault: Answer | Slow, *, times: int | None = None) -> Self:
        """Every request meets `fault` instead of its route's answer; `times` limits how many."""
        with self._changed:
            self._fault, self._fault_left = fault, times
        return self

    def well(self) -> Self:
        """Ends a fault."""
        with self._changed:
            self._fault = None
        return self

    @property
    def url(self) -> str:
        """Where it serves."""
        if self._served is None:
            raise RuntimeError("it does not serve yet: use it as `with FakeUpstream(...) as fake:`")
        return f"http://127.0.0.1:{self._served.port}"

    @property
    def received(self) -> list[Received]:
        """The last 1 000 requests, oldest first."""
        with self._changed:
            return list(self._kept)

    @property
    def unmatched(self) -> list[str]:
        """Requests that no route fits, as `GET /path`."""
        with self._changed:
            return list(self._unmatched)

    def calls(self, route: str | None = None) -> int:
        """How many requests came, or how many for a route as it was scripted."""
        with self._changed:
            if route is None:
                return self._count
            for one in self._routes:
                if one.text == route:
                    return one.calls
        known = ", ".join(f"`{one.text}`" for one in self._routes) or "none"
        raise ValueError(f"`{route}` is not scripted; routes: {known}")

    def wait_for(self, calls: int, *, patience: Duration = "10s") -> None:
        """Returns when so many requests have come since the start."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._count >= calls, duration_ms(patience) / 1000
            ):
                raise TimeoutError(f"{_requests(self._count)} came, not {calls}")

    def assert_received(
        self,
        line: str,
        *,
        times: int | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Received:
        """The last request whose line is `line` (`GET /orders/7`), with these headers and query."""
        method, _, path = line.rpartition(" ")
        wanted = {name.lower(): value for name, value in (headers or {}).items()}
        found = [
            one
            for one in self.received
            if method in ("", one.method)
            and path in (one.path, one.target)
            and wanted.items() <= dict(one.headers).items()
            and (query or {}).items() <= one.query.items()
        ]
        if found and times in (None, len(found)):
            return found[-1]
        come = "".join(f"\n  {one.method} {one.target}" for one in self.received[-20:])
        also = "".join(
            f" with {what} {values}"
            for what, values in (("headers", headers), ("query", query))
            if values
        )
        many = f"{len(found)} times, not {times}" if found or times else "never"
        raise AssertionError(
            f"`{line}`{also} was received {many}; it received:{come or ' nothing'}"
        )

    def assert_not_called(self) -> None:
        if self.calls():
            come = ", ".join(f"{one.method} {one.target}" for one in self.received[:5])
            raise AssertionError(f"{_requests(self.calls())} came: {come}")

    def start(self) -> Self:
        """Serves on a port of its own."""
        return self._start(None)

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> Self:
        if self._served is None:
            self._served = Served(self._answer, loop)
        return self

    def stop(self) -> None:
        """Ends; raises what a function of a route raised, which its caller saw as 500 only."""
        served, self._served = self._served, None
        if served is not None:
            served.stop()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def serving(self) -> bool:
        return self._served is not None

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What this request gets; called by the serving thread only."""
        request = Received(method, target, headers, body)
        with self._changed:
            route, request = self._matched(request)
            self._kept.append(request)
            self._count += 1
            fault = self._take_fault()
            scripted = route.next() if route is not None else None
            if route is None and not isinstance(fault, Answer):
                self._unmatched.append(f"{method} {target}")
            self._changed.notify_all()
        if isinstance(fault, Answer):
            return fault
        answer = status(NOT_SCRIPTED) if route is None else self._made(scripted, request)
        if isinstance(fault, Slow):
            return _later(answer, fault.delay_ms)
        return answer

    def _take_fault(self) -> Answer | Slow | None:
        if self._fault is None or self._fault_left == 0:
            return None
        if self._fault_left is not None:
            self._fault_left -= 1
        return self._fault

    def _matched(self, request: Received) -> tuple[_Route | None, Received]:
        for route in self._routes:
            found = route.pattern.fullmatch(request.path)
            if found and route.method in ("", request.method):
                params = {name: unquote(value) for name, value in found.groupdict().items()}
                return route, Received(
                    request.method, request.target, request.headers, request.body, params
                )
        return None, request

    def _made(self, scripted: object, request: Received) -> Answer:
        try:
            return as_answer(scripted(request) if callable(scripted) else scripted)
        except BaseException as error:  # The test's own code; told when the fake stops.
            self._error = self._error or error
            return status(500)


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"


def _later(answer: Answer, delay_ms: float) -> Answer:
    return replace(answer, delay_ms=answer.delay_ms + delay_ms)
