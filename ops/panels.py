"""What a panel is, and the queries that panels have in common.

Prevents the same quantile written in twenty ways, one of them without `le`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

VIEW: Final = 'job=~"$job",view=~"$view"'
UPSTREAM: Final = 'job=~"$job",upstream=~"$upstream"'
JOB: Final = 'job=~"$job"'
# Grafana's names of units. RATE is of requests and calls, EVENTS of whatever else happens.
SECONDS, SHARE, RATE, EVENTS = "s", "percentunit", "reqps", "cps"
COUNT, CORES, BYTES, BYTES_RATE = "short", "none", "bytes", "binBps"
# How far an axis goes at least: of zeros alone Grafana makes one to 100, which for a share is
# 10 000 %.
AXIS: Final = {
    SECONDS: 0.001,
    SHARE: 0.01,
    RATE: 0.1,
    EVENTS: 0.1,
    COUNT: 1,
    CORES: 0.1,
    BYTES: 1024,
    BYTES_RATE: 1024,
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `queries` are expressions with their legends.

    `nothing` is what it says when there is no series or no number, where all is well. `steps`
    colour a number from each value on; without them Grafana makes what is 80 or more red. With
    `exemplars` the last query also asks for single requests.
    """

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str = ""
    kind: str = "timeseries"
    width: int = 8
    height: int = 7
    nothing: str = ""
    steps: tuple[tuple[float | None, str], ...] = ((None, "blue"),)
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below one heading."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, matchers: str, by: str = "") -> str:
    """The sum of a counter's rates."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{{matchers}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, matchers: str, by: str = "") -> str:
    """A quantile of a histogram."""
    inner = rate(f"{histogram}_bucket", matchers, f"{by}, le" if by else "le")
    return f"histogram_quantile({share:g}, {inner})"


def share(part: str, whole: str) -> str:
    """One thing as a share of another."""
    return f"{part} / {whole}"


def quantiles(histogram: str, matchers: str) -> tuple[tuple[str, str], ...]:
    """P50, P95 and P99 with their legends."""
    shares = ((0.5, "P50"), (0.95, "P95"), (0.99, "P99"))
    return tuple((quantile(one, histogram, matchers), name) for one, name in shares)


def replies(outcome: str, by: str = "") -> str:
    """Share of the replies that are not the client's own doing; `outcome` with its operator."""
    counted = f'{VIEW},outcome!="rejected"'
    return share(
        rate("tailrace_replies_total", f"{VIEW},outcome{outcome}", by),
        rate("tailrace_replies_total", counted, by),
    )


REQUESTS: Final = "http_server_request_duration_seconds"
ATTEMPTS: Final = "http_client_request_duration_seconds"
