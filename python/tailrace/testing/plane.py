"""The real plane for a service, over fakes, in this process.

The failure prevented: a test of a service that is not the service. The declaration is lowered as
`tailrace serve` does it, the same native plane runs it on ports of its own, and only the addresses
of its upstreams differ. Configuration files and variables of the machine are not read. Time is the
machine's, or stands still until the test moves it (`clock.py`). Limits: one worker; no signals.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from tailrace.errors import suggestion
from tailrace.quantities import duration_ms
from tailrace.testing.answers import Answer, Slow
from tailrace.testing.asynchronous import AsyncTestPlane
from tailrace.testing.clock import Loop, VirtualClock, at_work
from tailrace.testing.replies import Pending, Reply, send
from tailrace.testing.upstream import FakeUpstream
from tailrace.typing import Duration

if TYPE_CHECKING:
    from tailrace.service import Service

Fakes: TypeAlias = "FakeUpstream | Sequence[FakeUpstream] | Mapping[str, object]"
OWN: Final = {
    "listen.port": 0,
    "listen.admin_port": 0,
    "listen.workers": 1,
    "access_log.format": "off",
    # A machine that is busy with tests is no overload of the service.
    "admission.shed": "off",
    "admission.brownout": "off",
}


class TestPlane:
    """Runs `service` over fakes while it is entered, with `with` or `async with`.

    Each upstream that a view uses gets a `FakeUpstream`, a list of them (several addresses), or the
    routes of one: `orders=FakeUpstream(...)`, or by name in `upstreams`. `overrides` are options of
    `tailrace.toml` by dotted name, e.g. `{"upstreams.orders.timeout": "20ms"}`. With
    `clock="virtual"` time goes on while a reply is waited for, as far as a timer must for it to
    come, and by `advance`; no time of the machine is spent.
    """

    __test__ = False  # For pytest: a tool, not a test.

    def __init__(
        self,
        service: Service,
        upstreams: Mapping[str, Fakes] | None = None,
        *,
        overrides: Mapping[str, Any] | None = None,
        time_scale: float = 1.0,
        clock: Literal["real", "virtual"] = "real",
        **named: Fakes,
    ) -> None:
        if clock not in ("real", "virtual"):
            raise ValueError(f'clock is "real" or "virtual", not {clock!r}')
        if not time_scale > 0:
            raise ValueError(
                f"time_scale cannot be {time_scale!r}: it multiplies, 1 changes nothing"
            )
        self.service = service
        self._overrides = dict(overrides or {})
        self._scale = time_scale
        self._fakes = _by_name(service, {**(upstreams or {}), **named})
        self._exit = ExitStack()
        self._plane: Any = None
        self._host: Any = None
        self._is_virtual = clock == "virtual"
        self._clock: VirtualClock | None = None
        self._loops: list[Loop] = []
        self._sent: list[Pending] = []

    @property
    def upstreams(self) -> dict[str, FakeUpstream]:
        """The fakes by upstream; of several addresses, the first."""
        return {name: fakes[0] for name, fakes in self._fakes.items()}

    def fault(self, upstream: str, fault: Answer | Slow, *, times: int | None = None) -> None:
        """Every address of `upstream` has `fault`; see `FakeUpstream.fault`."""
        if upstream not in self._fakes:
            hint = " ".join(suggestion(upstream, self._fakes, "upstreams"))
            message = f"service `{self.service.name}` uses no upstream `{upstream}`; {hint}"
            raise ValueError(message)
        for fake in self._fakes[upstream]:
            fake.fault(fault, times=times)

    @property
    def url(self) -> str:
        return f"http://{self._running().address}"

    @property
    def admin_url(self) -> str:
        return f"http://{self._running().admin_address}"

    def get(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """GET `path`, written as it goes over the wire."""
        return self.request("GET", path, query=query, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        body: bytes | None = None,
    ) -> Reply:
        """One request on a connection of its own; `json` is sent as a JSON body."""
        return self.send(method, path, query=query, headers=headers, json=json, body=body).reply()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        body: bytes | None = None,
    ) -> Pending:
        """A request whose reply is asked for later: `.done`, `.reply()`."""
        sent = send(
            _port(self._running().address),
            method,
            path,
            query=query,
            headers=headers,
            json_body=json,
            body=body,
            clock=self._clock,
        )
        self._sent = [one for one in self._sent if one.is_open] + [sent]
        return sent

    def advance(self, duration: Duration) -> None:
        """Moves the virtual clock, stopping at every timer that is due on the way.

        Returns when all that follows has happened, as far as it needs no more time.
        """
        self._virtual().advance(round(duration_ms(duration) * 1_000_000))

    @property
    def time_ms(self) -> float:
        """What the virtual clock says: milliseconds since it began."""
        clock = self._virtual()
        return (clock.now - clock.began) / 1_000_000

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that have these labels, now."""
        total, seen = 0.0, False
        for line in self._running().metrics().decode().splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] != name:
                continue
            if all(f'{key}="{wanted}"' in series for key, wanted in labels.items()):
                total, seen = total + float(value), True
        if not seen:
            raise ValueError(f"there is no metric `{name}` with the labels {labels}")
        return total

    def invalidate(self, upstream: str | None = None, prefix: str = "") -> int:
        """Forgets cached answers: all, an upstream's, or those whose target begins with `prefix`.

        Returns how many there were.
        """
        forgotten: int = self._running().invalidate(upstream, prefix)
        return forgotten

    def start(self) -> Self:
        """Starts the fakes that do not serve yet, then the plane."""
        if self._plane is None:
            with ExitStack() as stack:
                self._take_clock(stack)
                for name, fakes in self._fakes.items():
                    for fake in fakes:
                        self._start_fake(name, fake, stack)
                self._plane = self._started()
                if self._clock is not None:
                    stack.enter_context(self._clock.runs(self._plane))
                self._exit = stack.pop_all()
        return self

    def _take_clock(self, stack: ExitStack) -> None:
        if not self._is_virtual:
            if VirtualClock.in_use():
                raise RuntimeError(
                    "another plane of this process runs on the virtual clock, which is the whole"
                    ' process\'s: give this one clock="virtual" too, or end the other one first'
                )
            return
        self._clock = clock = VirtualClock.taken()

        def give_back() -> None:
            self._clock = None
            clock.release()

        stack.callback(give_back)
        stack.callback(self._let_go)

    def _let_go(self) -> None:
        """What runs on the clock must be able to end."""
        loops, self._loops = self._loops, []
        if self._clock is not None:
            self._clock.let_go(loops)

    def _loop(self) -> Loop | None:
        """A loop on the virtual clock; None without one."""
        if self._clock is None:
            return None
        self._loops.append(self._clock.loop())
        return self._loops[-1]

    def _start_fake(self, name: str, fake: FakeUpstream, stack: ExitStack) -> None:
        if not fake.serving:
            fake._start(self._loop())
            stack.enter_context(fake)
        elif self._clock is not None:
            raise RuntimeError(
                f"the fake of `{name}` serves already, and not on the virtual clock: let the plane"
                " start it"
            )

    def stop(self) -> None:
        """Ends the plane, then the fakes; raises what a function of a route raised."""
        plane, self._plane = self._plane, None
        host, self._host = self._host, None
        for sent in self._sent:
            sent.close()
        self._let_go()
        if plane is not None:
            plane.end()
        stuck = host is not None and not host.stop()
        self._exit.close()
        if stuck:
            raise RuntimeError("a handler did not return when it was cancelled; its thread is left")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> AsyncTestPlane:
        await asyncio.to_thread(self.start)
        return AsyncTestPlane(self)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _running(self) -> Any:
        if self._plane is None:
            raise RuntimeError("the plane does not run: use it as `with TestPlane(...) as plane:`")
        return self._plane

    def _virtual(self) -> VirtualClock:
        self._running()
        if self._clock is None:
            raise RuntimeError(
                'the plane runs on the machine\'s time: write TestPlane(..., clock="virtual")'
            )
        return self._clock

    def _started(self) -> Any:
        from tailrace._config import resolve
        from tailrace._runtime import Plane

        addresses = {
            f"upstreams.{name}.addresses": [fake.url for fake in fakes]
            for name, fakes in self._fakes.items()
        }
        flags = {**OWN, **self._overrides, **addresses}
        resolved = resolve(self.service, flags=flags, read_file=False)
        blueprint = resolved.blueprint
        _stretch(blueprint, self._scale)
        if self._clock is not None and blueprint.get("protections") == "off":
            raise ValueError("without protections the plane keeps the machine's time")
        plane = Plane(json.dumps(blueprint).encode(), json.dumps(resolved.origins).encode())
        if plane.bridge is not None:
            self._host = self._hosting(plane, blueprint)
            self._host.start()
        return plane

    def _hosting(self, plane: Any, blueprint: dict[str, Any]) -> Any:
        from tailrace._host import Host
        from tailrace._threads import Threads
        from tailrace.scope import Scope

        loop = self._loop()
        service = self.service
        host = Host(plane.bridge, blueprint, service.handlers, service.views, test_loop=loop)
        if loop is not None:
            work, wait = Threads._work.__code__, Scope.wait.__code__
            loop.jobs = lambda: at_work(host.unsettled(), work, wait)
        return host


def _by_name(service: Service, given: Mapping[str, Fakes]) -> dict[str, list[FakeUpstream]]:
    """Fakes by the upstreams' own names; keywords have `_` where those may have `-`."""
    names = [one.name for one in service.upstreams]
    found: dict[str, list[FakeUpstream]] = {}
    for key, fakes in given.items():
        name = key if key in names else key.replace("_", "-")
        if name not in names:
            hint = " ".join(suggestion(key, names, "upstreams"))
            raise ValueError(f"service `{service.name}` uses no upstream `{key}`; {hint}")
        if isinstance(fakes, FakeUpstream):
            found[name] = [fakes]
        elif isinstance(fakes, Mapping):
            found[name] = [FakeUpstream(fakes)]
        else:
            found[name] = list(fakes)
    absent = [name for name in names if not found.get(name)]
    if absent:
        listed = ", ".join(f"`{name}`" for name in absent)
        first = absent[0].replace("-", "_")
        raise ValueError(
            f"no fake for {listed}: a test never calls a real upstream; give"
            f' {first}=FakeUpstream({{"/path/{{id}}": {{...}}}})'
        )
    return found


def _stretch(blueprint: dict[str, Any], scale: float) -> None:
    """Every deadline and timeout, in proportion."""
    for upstream in blueprint["upstreams"]:
        upstream["timeout_ms"] *= scale
    for view in blueprint["views"]:
        view["deadline_ms"] *= scale
        if "computed" in view:
            view["computed"]["time_ms"] *= scale
        for part in view.get("parts", ()):
            if part.get("timeout_ms") is not None:
                part["timeout_ms"] *= scale


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
