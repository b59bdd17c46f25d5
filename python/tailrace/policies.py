"""The policies, as values.

The failure prevented: a limit with a Python name, a blueprint name and a metric name that differ.
One frozen dataclass per policy, with the fields that the blueprint and the Rust policy have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tailrace.typing import Duration, Percentile, Share


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """At most `limit` calls in flight over the whole process; `queue` more may wait (req 4.4).

    `queue` left out takes `max(8, limit)`.
    """

    limit: int
    queue: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Another attempt after a failure that another attempt may mend (req 9.4).

    `attempts` counts the first one: 1 means no retry. An attempt that takes longer than
    `attempt_timeout` is dropped and counts as failed; left out, one attempt may take the whole
    call, and a call whose attempt runs out of time has no time for another. Before a retry is a
    wait anywhere between 0 and `backoff`, which doubles with each retry up to `backoff_max`. Over
    ten seconds at most `budget` extra attempts per call of this upstream are made; `budget_min` a
    second always may.
    """

    attempts: int = 2
    attempt_timeout: Duration | None = None
    backoff: Duration = "10ms"
    backoff_max: Duration = "100ms"
    budget: Share = 0.1
    budget_min: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """A second attempt while the first one is slower than usual (req 8.3).

    It starts when the first has taken as long as the percentile `after` of recent attempts, and
    never before `delay_min`, nor before one and a half medians where the call's time allows that.
    Over ten seconds at most `extra` hedges per call are sent.
    """

    after: Percentile = "p95"
    extra: Share = 0.05
    delay_min: Duration = "1ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Each address on its own: one that fails gets no calls for a while, then one probe (req 9.1b).

    It is ejected by `consecutive` failures in a row, or by a lower share of successes than
    `success_min` once there were `samples_min` answers in ten seconds. An answer that takes longer
    than `slow` is no success. The time out is `open`, doubled by each probe that fails up to
    `open_max`. When less than half of the addresses would be left, ejection is ignored.
    """

    consecutive: int = 7
    success_min: Share = 0.5
    samples_min: int = 20
    slow: Duration | None = None
    open: Duration = "1s"
    open_max: Duration = "60s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """An upstream that refuses most calls is asked less, in proportion (req 9.1a).

    Over ten seconds, calls beyond `factor` times the accepted ones are refused here by chance:
    none before there were `requests_min` calls, never more than the share `reject_max`.
    """

    factor: float = 2.0
    requests_min: int = 50
    reject_max: Share = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLimit:
    """Calls in flight follow the upstream's latency, between `min` and the bulkhead (req 16.4).

    It begins at `init`. Off unless declared: until it has learned it caps a bulkhead that was sized
    on purpose.
    """

    min: int = 4
    init: int = 20


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `per_second` in the long run, `burst` at once after a pause (req 9.1a).

    `burst` left out takes what a second brings. It limits the requests of each client
    (`Admission`), those of a view, or the attempts to an upstream.
    """

    per_second: float
    burst: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shed:
    """Overload is met by refusing what matters least, and no more than needed (req 9.1c).

    It begins where what is ready waits longer than `delay` to run, or more than the share `cpu` of
    the processors this process may have is in use (`None`: not looked at).
    """

    delay: Duration = "5ms"
    cpu: Share | None = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Brownout:
    """Under pressure weak parts are left out before any request is refused (req 9.1c).

    Pressure is a share of where requests are refused: at `start` the first part of a view goes, at
    `full` the last. A part comes back `band` below its pressure, after `dwell`, the last one first.
    """

    start: Share = 0.85
    full: Share = 0.97
    band: Share = 0.1
    dwell: Duration = "1s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feasibility:
    """A request with less time left than its calls take at best is refused before the first one.

    At most the share `refused_max` of requests: the others show when the upstreams are fast again.
    """

    refused_max: Share = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a request meets before its parameters are read (req 9.2).

    A `client` is known by its `"address"` or by `"header:x-tenant"`; such a header, and a priority
    or address a request names, count only from peers in the networks `trusted`. Each client has the
    `rate`, of which `clients_max` are remembered; `priorities` are those of clients that have one
    of their own. The requests in progress may need `calls_max` calls.
    """

    client: str = "address"
    trusted: Sequence[str] = ()
    rate: Rate | None = None
    clients_max: int = 65_536
    priorities: Mapping[str, str] = field(default_factory=dict)
    calls_max: int = 8_192
    shed: Shed | None = Shed()
    brownout: Brownout | None = Brownout()
    feasibility: Feasibility | None = Feasibility()


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What bounds the computed fields of a view.

    `time` is kept for them at the end of the deadline: parts that are not there by then are cut
    off; what is left over of the parts' own time they have as well. At most `limit` requests wait
    for theirs at once, over the whole process; one more goes without.
    """

    time: Duration = "10ms"
    limit: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Spans of the requests that are worth it, sent to a collector (req 16.6).

    Whether one is kept is decided when it has ended: failed, degraded, retried, hedged, slower than
    the running P99 of its view, or late (more than four fifths of its deadline); of the others the
    `share`, and those that their caller has marked as sampled. At most `per_second` of them.
    `endpoint` speaks OTLP over HTTP; without a path it is `/v1/traces`. Each exchange with it may
    take `timeout`. What it wants to see in headers, a token for instance, stands in the variable
    `headers_variable` as `name=value,name=value`. `resource` are attributes of the process.
    """

    endpoint: str = "http://127.0.0.1:4318"
    share: Share = "1%"
    per_second: float = 50
    timeout: Duration = "10s"
    headers_variable: str = "OTEL_EXPORTER_OTLP_HEADERS"
    resource: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Answers are kept for a moment, for the whole process (req 9.2, 16.5).

    For `ttl` an answer is served as it is; for another `stale` it is served while one fetch runs;
    and for `stale_if_error` after its `ttl` it is served when the fetch fails. That a thing does
    not exist is believed for `negative`. Left out: `ttl`, ten times `ttl`, a quarter of `ttl` but
    at most five seconds. Every header a call carries keeps its answers apart; where these are the
    caller's own, `per_identity=True` says that this is meant.
    """

    ttl: Duration
    stale: Duration | None = None
    stale_if_error: Duration | None = None
    negative: Duration | None = None
    per_identity: bool = False
