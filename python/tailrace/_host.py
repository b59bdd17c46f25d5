"""Where handlers and computed fields run: one thread with one event loop, beside the plane.

The failure prevented: a handler that takes the service with it. The plane keeps connections,
deadlines and health; what happens here can be late, fail or never return, and then its own requests
are answered 504 or 500 and its places are gone. Whatever a handler raises, `SystemExit` included,
ends that handler only; the traceback goes to the log, never to the client (RELIABILITY A09).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from tailrace import _computed
from tailrace._codec import Encode, decoder, encoder
from tailrace._collector import CollectorWatch
from tailrace._loop import PlaneSelector, plane_loop
from tailrace._overdue import Overdue
from tailrace._pump import Bridge, Pump, refuse_to_go_on
from tailrace._registry import Registry
from tailrace._stalls import StallWatch, Watched
from tailrace._threads import Threads
from tailrace.bound import CALLER
from tailrace.errors import CallFailed
from tailrace.handlers import HandlerDeclaration
from tailrace.scope import Scope
from tailrace.view import ViewDeclaration

if TYPE_CHECKING:
    from tailrace.service import Service

_END_S: Final = 1.0
_EAGER: Final[Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
"""The first step of a handler runs at once where tasks can do that."""
log = logging.getLogger("tailrace")


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler ready to run."""

    view: int
    name: str
    function: Callable[..., Any]
    arguments: tuple[tuple[str, Callable[[bytes], Any] | None], ...]
    """Name and conversion of each parameter, in the plane's order; `None` leaves text as it is."""
    scope_name: str | None
    encode: Encode
    threads: Threads | None

    def given(self, values: Sequence[bytes | None], scope: Scope) -> dict[str, Any]:
        """The function's arguments by name."""
        found: dict[str, Any] = {}
        for (name, convert), value in zip(self.arguments, values, strict=True):
            if value is None:
                found[name] = None
            elif convert is None:
                found[name] = value.decode()
            else:
                found[name] = convert(value)
        if self.scope_name is not None:
            found[self.scope_name] = scope
        return found


def prepare(
    blueprint: Mapping[str, Any], declared: Sequence[HandlerDeclaration]
) -> dict[int, Handler]:
    """The handlers of a blueprint by the index of their view."""
    by_name = {one.name: one for one in declared}
    found = {}
    for view, row in enumerate(blueprint["views"]):
        if "handler" in row:
            found[view] = _prepare(view, row, by_name[row["name"]], blueprint["shapes"])
    return found


def _prepare(
    view: int, row: Mapping[str, Any], declared: HandlerDeclaration, shapes: Sequence[Any]
) -> Handler:
    hints = declared.hints()
    arguments = []
    for parameter in row["parameters"]:
        name = parameter["name"]
        kind = shapes[parameter["shape"]]
        arguments.append((name, _converter(hints.get(name, str), kind["kind"])))
    if "body" in row:
        name = row["body"]["name"]
        arguments.append((name, decoder(hints[name], own_names=True)))
    scopes = [name for name, type_ in hints.items() if type_ is Scope]
    threads = None
    if declared.threads is not None:
        threads = Threads(f"tailrace-{declared.name}", declared.threads)
    return Handler(
        view,
        declared.name,
        declared.function,
        tuple(arguments),
        scopes[0] if scopes else None,
        encoder(hints["return"]),
        threads,
    )


def _converter(type_: Any, kind: str) -> Callable[[bytes], Any] | None:
    """From validated text to the declared type."""
    if type_ is str:
        return None
    if type_ is int:
        return int
    from pydantic import TypeAdapter

    adapter: Any = TypeAdapter(type_)
    if kind in ("integer", "number", "boolean"):
        validate: Callable[[bytes], Any] = adapter.validate_json
        return validate

    def convert(text: bytes) -> Any:
        return adapter.validate_python(text.decode())

    return convert


class Host:
    """The handlers' thread. Nothing is taken from the plane before `start`."""

    def __init__(
        self,
        bridge: Bridge,
        blueprint: Mapping[str, Any],
        handlers: Sequence[HandlerDeclaration],
        views: Sequence[ViewDeclaration] = (),
        *,
        test_loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._bridge = bridge
        self._test_loop = test_loop
        """A test's, whose time may stand still: nothing can be said to hold it."""
        self._handlers = prepare(blueprint, handlers)
        self._fields = _computed.prepare(blueprint, views, _converter)
        self._names = {one.name: (one.view, one.name) for one in self._handlers.values()}
        rows = {row["name"]: row for row in blueprint["upstreams"]}
        self._registry = Registry(bridge, rows, _unknown_upstream)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="tailrace-python", daemon=True)
        self._told: set[int] = set()
        self._ending = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pump: Pump | None = None
        self._watch: StallWatch | None = None
        self._collector = CollectorWatch(bridge)
        self._overdue: Overdue | None = None

    def start(self) -> None:
        """Starts the thread and waits until its loop listens."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> bool:
        """Ends the loop and cancels what runs; False when a handler does not let it end."""
        loop = self._loop
        if loop is None:
            return True
        self._ending = True
        for one in self._handlers.values():
            if one.threads is not None:
                one.threads.end()
        if self._watch is not None:
            self._watch.end()
        self._collector.end()
        try:
            loop.call_soon_threadsafe(loop.stop)
        except RuntimeError:
            return True
        self._thread.join(2 * _END_S)
        return not self._thread.is_alive()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that handlers run on; none before it runs."""
        return self._loop

    def unsettled(self) -> int:
        """Jobs of plain functions whose result is not known yet."""
        handlers = self._handlers.values()
        return sum(one.threads.unsettled for one in handlers if one.threads is not None)

    def _main(self) -> None:
        selector: PlaneSelector | None = None
        loop = self._test_loop
        if loop is None:
            loop, selector = plane_loop(self._bridge)
        asyncio.set_event_loop(loop)
        self._loop = loop
        pump = Pump(
            self._bridge,
            loop,
            self._begin,
            self._cancel,
            compute=self._compute,
            selector=selector,
        )
        self._pump = pump
        self._overdue = Overdue(self._bridge, loop, self._runs)
        self._collector.start()
        if self._test_loop is None:
            self._watch = StallWatch(self._bridge, threading.get_ident(), self._codes())
        loop.call_soon(self._ready.set)
        while not self._ending:  # A handler may stop its loop; the others still need it.
            loop.run_forever()
            if pump.forked:
                refuse_to_go_on()
        pump.close()
        loop.run_until_complete(self._end_tasks())
        loop.close()

    async def _end_tasks(self) -> None:
        """Tells what still runs to end, and waits a moment."""
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_END_S)

    def _codes(self) -> dict[CodeType, Watched]:
        """Where a stack shows a handler or a computed field."""
        import inspect

        found: dict[CodeType, Watched] = {}
        instead = "await instead, or declare it `def` with `threads=`"
        for one in self._handlers.values():
            code = inspect.unwrap(one.function).__code__
            found[code] = Watched(one.view, f"handler `{one.name}`", instead)
        instead = "what waits or takes long belongs into a part or a handler with `threads=`"
        for view, fields in self._fields.items():
            for code in fields.codes:
                name = f"computed field `{fields.name}.{code.co_name}`"
                found[code] = Watched(view, name, instead)
        return found

    def _begin(
        self, ticket: int, view: int, values: list[bytes | None], request_id: str, left: float
    ) -> None:
        pump, loop = self._pump, self._loop
        assert pump is not None
        assert loop is not None
        handler = self._handlers[view]
        scope = Scope(pump, self._registry, ticket, request_id, loop.time() + left)
        work = self._run(handler, ticket, values, scope)
        task = asyncio.Task(work, loop=loop, name=handler.name, **_EAGER)
        if not task.done():
            self._tasks[ticket] = task

    def _compute(self, view: int, values: list[bytes | None], request_id: str) -> list[bytes | str]:
        """Makes the computed fields of one request."""
        fields = self._fields[view]
        try:
            results = fields.make(values, request_id)
        except Exception:  # Not the code of a field, which is caught: what is around it.
            log.exception("computed fields of `%s` failed (request %s)", fields.name, request_id)
            results = []
        if self._pump is not None and self._pump.forked:
            refuse_to_go_on()
        return results

    def _cancel(self, ticket: int) -> None:
        task = self._tasks.get(ticket)
        if task is not None:
            self._told.add(ticket)
            task.cancel()
            if self._overdue is not None:
                self._overdue.told(ticket)

    def _runs(self, ticket: int) -> tuple[int, str] | None:
        """View and name of the handler that this request is still in."""
        task = self._tasks.get(ticket)
        return None if task is None else self._names[task.get_name()]

    async def _run(
        self, handler: Handler, ticket: int, values: list[bytes | None], scope: Scope
    ) -> None:
        """One request: whatever happens, the plane is told once that it is over."""
        bridge, view = self._bridge, handler.view
        CALLER.set(scope)
        try:
            given = handler.given(values, scope)
            if handler.threads is None:
                result = await handler.function(**given)
            else:
                result = await _in_thread(handler.threads, handler.function, given)
            body = handler.encode(result)
        except BaseException as error:
            if ticket in self._told and isinstance(error, asyncio.CancelledError):
                bridge.cancelled(ticket, view)
            else:
                self._failed(handler, ticket, scope, error)
        else:
            bridge.reply(ticket, view, body, scope.degraded)
        finally:
            self._tasks.pop(ticket, None)
            if ticket in self._told:
                self._told.discard(ticket)
                if self._overdue is not None:
                    self._overdue.ended(ticket)
            if self._pump is not None:
                if self._pump.forked:
                    refuse_to_go_on()
                self._pump.schedule()

    def _failed(self, handler: Handler, ticket: int, scope: Scope, error: BaseException) -> None:
        failed = _call_failed(error)
        if failed is not None:
            self._bridge.fail(ticket, handler.view, failed.upstream, failed.reason)
            return
        self._bridge.crash(ticket, handler.view)
        log.error(
            "handler `%s` failed (request %s)", handler.name, scope.request_id, exc_info=error
        )


async def _in_thread(threads: Threads, function: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Runs a plain function; one that is cancelled is waited for, since a thread cannot be."""
    loop = asyncio.get_running_loop()
    future = threads.run(loop, lambda: function(**given))
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # Nobody is told; the client has left or had its 504.
        raise cancelled
    return future.result()


def _call_failed(error: BaseException) -> CallFailed | None:
    """The failed call that ended a handler, also out of a `TaskGroup`."""
    if isinstance(error, CallFailed):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [_call_failed(one) for one in error.exceptions]
        return found[0] if all(one is not None for one in found) else None
    return None


def hosted(plane: Any, blueprint: Mapping[str, Any], service: Service) -> Host | None:
    """The started host of a plane's handlers and computed fields; without any no Python runs."""
    if plane.bridge is None:
        return None
    host = Host(plane.bridge, blueprint, service.handlers, service.views)
    host.start()
    return host


def _unknown_upstream(name: str) -> str:
    return f"name it: Service(..., upstreams=[{name}])"
