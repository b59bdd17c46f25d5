"""An upstream: where it is and what bounds our use of it.

The failure prevented: a call that leaves the process without a timeout and a bulkhead. Only an
upstream makes calls, and both always have a value. Nothing is checked here; the lowering checks
the whole service at once, so that all mistakes are seen together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, overload

from tailrace._missing import MISSING
from tailrace._source import Place, caller
from tailrace.bound import NOTHING, Asked, BoundCall
from tailrace.policies import (
    AdaptiveLimit,
    Breaker,
    Bulkhead,
    Cache,
    Hedge,
    Rate,
    Retry,
    Throttle,
)
from tailrace.typing import Duration, Json, Method, Size, Value

Result = TypeVar("Result")

TIMEOUT_DEFAULT: Final = "1s"
BULKHEAD_DEFAULT: Final = 64
RETRY_DEFAULT: Final = Retry()
"""What stands when nothing was said about retries; the lowering knows it by its identity."""
BREAKER_DEFAULT: Final = Breaker()
THROTTLE_DEFAULT: Final = Throttle()


class Upstream:
    """A downstream service we call, at one or several `http://` addresses.

    `timeout` bounds one call (default 1s; what is left of the request's deadline may be less),
    `bulkhead` the calls in flight over the whole process (default 64). A failed call is
    retried once, within a budget (`retry=None`: never); a slow one is raced by a second attempt
    only where `hedge=Hedge()` says so. An address that fails gets no calls for a while
    (`breaker=None`: it does), an upstream that refuses most calls is asked less (`throttle=None`:
    it is not). `adaptive=AdaptiveLimit()` lets the calls in flight follow the latency; it is off by
    default because until it has learned it caps a bulkhead that was sized on purpose. `rate`
    limits the attempts a second. Answers are kept for a moment only where `cache=Cache(ttl="2s")`
    says so, here or for one part. Only request headers named in `forward_headers` are passed on.
    """

    __slots__ = (
        "adaptive",
        "address",
        "body_max",
        "breaker",
        "bulkhead",
        "cache",
        "forward_headers",
        "hedge",
        "name",
        "place",
        "rate",
        "retry",
        "throttle",
        "timeout",
    )

    def __init__(
        self,
        name: str,
        address: str | Sequence[str],
        *,
        timeout: Duration | None = None,
        bulkhead: int | Bulkhead | None = None,
        retry: Retry | None = RETRY_DEFAULT,
        hedge: Hedge | None = None,
        breaker: Breaker | None = BREAKER_DEFAULT,
        throttle: Throttle | None = THROTTLE_DEFAULT,
        adaptive: AdaptiveLimit | None = None,
        rate: Rate | None = None,
        cache: Cache | None = None,
        forward_headers: Sequence[str] = (),
        body_max: Size | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self.timeout = timeout
        self.bulkhead = bulkhead
        self.retry = retry
        self.hedge = hedge
        self.breaker = breaker
        self.throttle = throttle
        self.adaptive = adaptive
        self.rate = rate
        self.cache = cache
        self.forward_headers = forward_headers
        self.body_max = body_max
        self.place = caller()

    @overload
    def get(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Call: ...

    @overload
    def get(
        self,
        path: str,
        model: type[Result],
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> BoundCall[Result]: ...

    @overload
    def get(
        self,
        path: str,
        model: Any,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> BoundCall[Any]: ...

    def get(
        self,
        path: str,
        model: Any = MISSING,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> Call | BoundCall[Any]:
        """A GET of this upstream; `path`, query values and header values are templates.

        In a view the templates name parameters and parts. With a `model` it is a call of Python
        code, in a handler: each `{name}` is one of `values`, and awaiting it gives the model.
        """
        plain = query is None and headers is None
        asked = NOTHING if plain else Asked(query=query, headers=headers)
        if model is not MISSING:
            return BoundCall(self, "GET", path, model, asked, timeout, values)
        return self._call("GET", path, model, asked, timeout=timeout, values=values)

    @overload
    def post(
        self,
        path: str,
        *,
        json: Json = MISSING,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Call: ...

    @overload
    def post(
        self,
        path: str,
        model: type[Result],
        *,
        json: Json = MISSING,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> BoundCall[Result]: ...

    def post(
        self,
        path: str,
        model: Any = MISSING,
        *,
        json: Json = MISSING,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> Call | BoundCall[Any]:
        """A POST; never repeated, unless `idempotency_key` says how the upstream tells repetitions.

        `json` is any JSON value whose texts are templates: `"{draft}"` alone puts the value in as
        it is, `"order {order_id}"` makes text. `form` is sent urlencoded. The key is a template
        too, sent as `Idempotency-Key`, the same with each attempt (req 9.4). With a `model` it is
        a call of Python code, as for `get`, and `json` is a value or a model, sent as it is.
        """
        asked = Asked(json, form, query, headers, idempotency_key)
        return self._call("POST", path, model, asked, timeout=timeout, values=values)

    @overload
    def put(
        self,
        path: str,
        *,
        json: Json = MISSING,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Call: ...

    @overload
    def put(
        self,
        path: str,
        model: type[Result],
        *,
        json: Json = MISSING,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> BoundCall[Result]: ...

    def put(
        self,
        path: str,
        model: Any = MISSING,
        *,
        json: Json = MISSING,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> Call | BoundCall[Any]:
        """A PUT, as `post`; it is retried like a GET, and hedged only with a key."""
        asked = Asked(json, form, query, headers, idempotency_key)
        return self._call("PUT", path, model, asked, timeout=timeout, values=values)

    @overload
    def patch(
        self,
        path: str,
        *,
        json: Json = MISSING,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Call: ...

    @overload
    def patch(
        self,
        path: str,
        model: type[Result],
        *,
        json: Json = MISSING,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> BoundCall[Result]: ...

    def patch(
        self,
        path: str,
        model: Any = MISSING,
        *,
        json: Json = MISSING,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> Call | BoundCall[Any]:
        """A PATCH, as `post`."""
        asked = Asked(json, form, query, headers, idempotency_key)
        return self._call("PATCH", path, model, asked, timeout=timeout, values=values)

    @overload
    def delete(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Call: ...

    @overload
    def delete(
        self,
        path: str,
        model: type[Result],
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> BoundCall[Result]: ...

    def delete(
        self,
        path: str,
        model: Any = MISSING,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout: Duration | None = None,
        **values: Value,
    ) -> Call | BoundCall[Any]:
        """A DELETE; it is retried like a GET, and hedged only with a key."""
        asked = Asked(MISSING, None, query, headers, idempotency_key)
        return self._call("DELETE", path, model, asked, timeout=timeout, values=values)

    def _call(
        self,
        method: Method,
        path: str,
        model: Any,
        asked: Asked,
        *,
        timeout: Duration | None,
        values: Mapping[str, Value],
    ) -> Call | BoundCall[Any]:
        if model is not MISSING:
            return BoundCall(self, method, path, model, asked, timeout, values)
        if values or timeout is not None:
            given, name = ", ".join(values) or "timeout", f"{self.name}.{method.lower()}"
            message = (
                f"{name}({path!r}) has {given}, but no model: "
                f"in a handler say what it returns, {name}({path!r}, Model, ...)"
            )
            raise TypeError(message)
        return Call(
            self,
            path,
            dict(asked.query or {}),
            dict(asked.headers or {}),
            caller(2),
            method=method,
            json=asked.json,
            form=None if asked.form is None else dict(asked.form),
            idempotency_key=asked.idempotency_key,
        )

    def __repr__(self) -> str:
        return f"Upstream({self.name!r}, {self.address!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One logical use of an upstream, as templates."""

    upstream: Upstream
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    place: Place = field(repr=False)
    method: Method = "GET"
    json: Json = MISSING
    form: dict[str, str] | None = None
    idempotency_key: str | None = None
