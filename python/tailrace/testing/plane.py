"""The real plane for a service, over fakes, in this process.

The failure prevented: a test of a service that is not the service. The declaration is lowered as
`tailrace serve` does it, the same native plane runs it on ports of its own, and only the addresses
of its upstreams differ. Configuration files and variables of the machine are not read. Limits:
one worker; no signals; time is real, and `time_scale` stretches every deadline and timeout alike,
so that a loaded machine does not decide a test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from tailrace.errors import suggestion
from tailrace.testing.answers import Answer, Slow
from tailrace.testing.replies import Reply, ask
from tailrace.testing.upstream import FakeUpstream

if TYPE_CHECKING:
    from tailrace.service import Service

Fakes: TypeAlias = "FakeUpstream | Sequence[FakeUpstream] | Mapping[str, object]"
OWN: Final = {
    "listen.port": 0,
    "listen.admin_port": 0,
    "listen.workers": 1,
    "access_log.format": "off",
}


class TestPlane:
    """Runs `service` over fakes while it is entered, with `with` or `async with`.

    Each upstream that a view uses gets a `FakeUpstream`, a list of them (several addresses), or the
    routes of one: `orders=FakeUpstream(...)`, or by name in `upstreams`. `overrides` are options of
    `tailrace.toml` by dotted name, e.g. `{"upstreams.orders.timeout": "20ms"}`.
    """

    __test__ = False  # For pytest: a tool, not a test.

    def __init__(
        self,
        service: Service,
        upstreams: Mapping[str, Fakes] | None = None,
        *,
        overrides: Mapping[str, Any] | None = None,
        time_scale: float = 1.0,
        **named: Fakes,
    ) -> None:
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
        return ask(
            _port(self._running().address),
            method,
            path,
            query=query,
            headers=headers,
            json_body=json,
            body=body,
        )

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
                for fakes in self._fakes.values():
                    for fake in fakes:
                        if not fake.serving:
                            stack.enter_context(fake)
                self._plane = self._started()
                self._exit = stack.pop_all()
        return self

    def stop(self) -> None:
        """Ends the plane, then the fakes; raises what a function of a route raised."""
        plane, self._plane = self._plane, None
        host, self._host = self._host, None
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
        plane = Plane(json.dumps(blueprint).encode(), json.dumps(resolved.origins).encode())
        if plane.bridge is not None:
            from tailrace._host import Host

            service = self.service
            self._host = Host(plane.bridge, blueprint, service.handlers, service.views)
            self._host.start()
        return plane


class AsyncTestPlane:
    """The same for `async` tests: requests are awaited and do not hold the event loop."""

    def __init__(self, plane: TestPlane) -> None:
        self.plane = plane

    @property
    def upstreams(self) -> dict[str, FakeUpstream]:
        return self.plane.upstreams

    @property
    def url(self) -> str:
        return self.plane.url

    async def get(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        return await self.request("GET", path, query=query, headers=headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        body: bytes | None = None,
    ) -> Reply:
        return await asyncio.to_thread(
            self.plane.request, method, path, query=query, headers=headers, json=json, body=body
        )


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
