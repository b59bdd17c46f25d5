"""A service: a deployable set of views with one default deadline and fan-out.

The failure prevented: an endpoint without a deadline, or with a fan-out nobody limited (req 4.2,
4.5). The service collects declarations; nothing is checked until the blueprint is made, so that one
run shows every mistake.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from tailrace._source import caller, frame_place
from tailrace.dependencies import PartDeclaration
from tailrace.handlers import HandlerDeclaration
from tailrace.policies import Admission, Computed, Rate, Tracing
from tailrace.typing import Duration, Method
from tailrace.upstream import Call, Upstream
from tailrace.view import View, ViewDeclaration, default_name

FANOUT_DEFAULT: Final = 8
EXTRA_ATTEMPTS_DEFAULT: Final = 3

ViewClass = TypeVar("ViewClass", bound=View)
Function = TypeVar("Function", bound=Callable[..., Any])


class Service:
    """Views that are deployed together.

    `deadline` bounds every request of a view that has none of its own; `fanout` is the number of
    calls one request may have in flight (default 8), `extra_attempts` the retries and hedges that
    all its calls share (default 3). `admission` says who is let in and what goes first under
    pressure. `envelope` renames the reply's own fields `degraded`, `request_id` and `served_at_ms`.
    With `server_timing` a reply says what its parts took, in a `Server-Timing` header, to a client
    that asks with `Tailrace-Timing: 1`. `tracing` says where its traces go; without it the context
    of a request is passed on and nothing recorded. `upstreams` names those that only handlers call
    and that stand neither in their module nor around them.
    """

    def __init__(
        self,
        name: str,
        *,
        deadline: Duration,
        fanout: int | None = None,
        extra_attempts: int | None = None,
        admission: Admission | None = None,
        envelope: Mapping[str, str] | None = None,
        server_timing: bool = False,
        tracing: Tracing | None = None,
        upstreams: Iterable[Upstream] = (),
    ) -> None:
        self.name = name
        self.deadline = deadline
        self.fanout = fanout
        self.extra_attempts = extra_attempts
        self.admission = admission
        self.envelope = dict(envelope or {})
        self.server_timing = server_timing
        self.tracing = tracing
        self.place = caller()
        self._views: list[ViewDeclaration] = []
        self._handlers: list[HandlerDeclaration] = []
        self._upstreams = tuple(upstreams)

    def view(
        self,
        path: str,
        *,
        method: Method = "GET",
        deadline: Duration | None = None,
        fanout: int | None = None,
        extra_attempts: int | None = None,
        rate: Rate | None = None,
        priority: str | None = None,
        allow_overcommit: str | None = None,
        collection: str | None = None,
        computed: Computed | None = None,
        name: str | None = None,
    ) -> Callable[[type[ViewClass]], type[ViewClass]]:
        """Registers a view class at the route `path`; the view's name follows the class's.

        It answers `method` (and HEAD where that is GET). `rate` is that of all its clients;
        `priority` is what its requests are worth under overload: `"sheddable"`, `"sheddable_plus"`,
        `"critical"` (the usual one) or `"critical_plus"`. With `collection` the reply is the list
        of that part alone, and what the envelope says stands in headers. `computed` bounds what
        its `computed` fields may take.

        A view whose strong parts cannot meet the deadline one after the other, or of which one
        request could fill a bulkhead, is refused; `allow_overcommit` is the reason why it is right
        all the same, and is shown wherever its limits are.
        """
        place = caller()

        def register(cls: type[ViewClass]) -> type[ViewClass]:
            frame = sys._getframe(1)
            local = frame.f_locals
            namespace = {} if local is frame.f_globals else dict(local)
            where = place if place.line else frame_place(frame)
            chosen = default_name(cls) if name is None else name
            self._views.append(
                ViewDeclaration(
                    cls,
                    path,
                    chosen,
                    deadline,
                    fanout,
                    extra_attempts,
                    rate,
                    priority,
                    allow_overcommit,
                    method,
                    collection,
                    computed,
                    where,
                    namespace,
                )
            )
            return cls

        return register

    def get(
        self,
        path: str,
        *,
        deadline: Duration | None = None,
        fanout: int | None = None,
        extra_attempts: int | None = None,
        rate: Rate | None = None,
        priority: str | None = None,
        limit: int | None = None,
        threads: int | None = None,
        name: str | None = None,
    ) -> Callable[[Function], Function]:
        """Registers an `async def` that answers GET at the route `path`.

        Its parameters are the route's placeholders, what `query()` and `header()` declare, and one
        annotated `Scope`. At most `limit` requests (128) are in it at once; one more is refused.
        `threads` gives a plain function so many threads instead of the event loop.
        """
        return self._handle(
            "GET",
            path,
            name,
            deadline=deadline,
            fanout=fanout,
            extra_attempts=extra_attempts,
            rate=rate,
            priority=priority,
            limit=limit,
            threads=threads,
        )

    def post(
        self,
        path: str,
        *,
        deadline: Duration | None = None,
        fanout: int | None = None,
        extra_attempts: int | None = None,
        rate: Rate | None = None,
        priority: str | None = None,
        limit: int | None = None,
        threads: int | None = None,
        name: str | None = None,
    ) -> Callable[[Function], Function]:
        """As `get`, for POST. It may read a `body()` or `form()`s."""
        return self._handle(
            "POST",
            path,
            name,
            deadline=deadline,
            fanout=fanout,
            extra_attempts=extra_attempts,
            rate=rate,
            priority=priority,
            limit=limit,
            threads=threads,
        )

    def put(
        self,
        path: str,
        *,
        deadline: Duration | None = None,
        fanout: int | None = None,
        extra_attempts: int | None = None,
        rate: Rate | None = None,
        priority: str | None = None,
        limit: int | None = None,
        threads: int | None = None,
        name: str | None = None,
    ) -> Callable[[Function], Function]:
        """As `get`, for PUT. It may read a `body()` or `form()`s."""
        return self._handle(
            "PUT",
            path,
            name,
            deadline=deadline,
            fanout=fanout,
            extra_attempts=extra_attempts,
            rate=rate,
            priority=priority,
            limit=limit,
            threads=threads,
        )

    def patch(
        self,
        path: str,
        *,
        deadline: Duration | None = None,
        fanout: int | None = None,
        extra_attempts: int | None = None,
        rate: Rate | None = None,
        priority: str | None = None,
        limit: int | None = None,
        threads: int | None = None,
        name: str | None = None,
    ) -> Callable[[Function], Function]:
        """As `get`, for PATCH. It may read a `body()` or `form()`s."""
        return self._handle(
            "PATCH",
            path,
            name,
            deadline=deadline,
            fanout=fanout,
            extra_attempts=extra_attempts,
            rate=rate,
            priority=priority,
            limit=limit,
            threads=threads,
        )

    def delete(
        self,
        path: str,
        *,
        deadline: Duration | None = None,
        fanout: int | None = None,
        extra_attempts: int | None = None,
        rate: Rate | None = None,
        priority: str | None = None,
        limit: int | None = None,
        threads: int | None = None,
        name: str | None = None,
    ) -> Callable[[Function], Function]:
        """As `get`, for DELETE."""
        return self._handle(
            "DELETE",
            path,
            name,
            deadline=deadline,
            fanout=fanout,
            extra_attempts=extra_attempts,
            rate=rate,
            priority=priority,
            limit=limit,
            threads=threads,
        )

    def _handle(
        self, method: Method, path: str, name: str | None, **limits: Any
    ) -> Callable[[Function], Function]:
        place = caller(2)

        def register(function: Function) -> Function:
            frame = sys._getframe(1)
            local = frame.f_locals
            namespace = {} if local is frame.f_globals else dict(local)
            where = place if place.line else frame_place(frame)
            chosen = getattr(function, "__name__", "") if name is None else name
            declared = HandlerDeclaration(
                function,
                path,
                chosen,
                method=method,
                place=where,
                namespace=namespace,
                **limits,
            )
            self._handlers.append(declared)
            return function

        return register

    @property
    def handlers(self) -> tuple[HandlerDeclaration, ...]:
        """The handlers in registration order."""
        return tuple(self._handlers)

    @property
    def endpoints(self) -> tuple[ViewDeclaration | HandlerDeclaration, ...]:
        """Views, then handlers: the order of the blueprint."""
        return (*self._views, *self._handlers)

    @property
    def views(self) -> tuple[ViewDeclaration, ...]:
        """The views in registration order."""
        return tuple(self._views)

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """Every upstream that a view uses or a handler can reach, in that order."""
        found: dict[int, Upstream] = {}
        for view in self._views:
            for member in view.members():
                part = member.value if isinstance(member.value, PartDeclaration) else None
                for call in (part.call, part.otherwise) if part else ():
                    if isinstance(call, Call):
                        found.setdefault(id(call.upstream), call.upstream)
        reachable = (one for handler in self._handlers for one in handler.upstreams())
        for upstream in (*reachable, *self._upstreams):
            found.setdefault(id(upstream), upstream)
        return tuple(found.values())

    def blueprint(self) -> dict[str, Any]:
        """The compiled declaration; raises `DeclarationError` with every mistake."""
        from tailrace._lower import build

        return build(self).blueprint

    def __repr__(self) -> str:
        return f"Service({self.name!r}, {len(self._views)} views)"
