"""The dashboard of upstreams: how they answer, and what protects them and us.

Prevents the wrong suspect: attempts, calls, waits and refusals stand side by side, so that a slow
upstream, a full bulkhead and a spent budget can be told apart.
"""

from __future__ import annotations

from typing import Final

from panels import (
    ATTEMPTS,
    BYTES,
    BYTES_RATE,
    COUNT,
    EVENTS,
    JOB,
    RATE,
    SECONDS,
    SHARE,
    UPSTREAM,
    Panel,
    Row,
    quantile,
    quantiles,
    rate,
    share,
)

NAME: Final = "{{upstream}}"


def _each(metric: str) -> tuple[str, str]:
    return rate(metric, UPSTREAM, "upstream"), NAME


def _of_attempts(metric: str) -> tuple[tuple[str, str], ...]:
    whole = rate("tailrace_upstream_attempts_total", UPSTREAM, "upstream")
    return ((share(rate(metric, UPSTREAM, "upstream"), whole), NAME),)


UPSTREAMS: Final = (
    Row(
        "Answers",
        (
            Panel("Attempts", RATE, (_each("tailrace_upstream_attempts_total"),)),
            Panel("P99", SECONDS, ((quantile(0.99, ATTEMPTS, UPSTREAM, "upstream"), NAME),)),
            Panel("Duration of all", SECONDS, quantiles(ATTEMPTS, UPSTREAM)),
            Panel("Failed", SHARE, _of_attempts("tailrace_upstream_failures_total")),
            Panel("Out of time", SHARE, _of_attempts("tailrace_upstream_timeouts_total")),
            Panel(
                "Errors by kind",
                RATE,
                (
                    (
                        rate(
                            f"{ATTEMPTS}_count",
                            f'{UPSTREAM},error_type!=""',
                            "upstream, error_type",
                        ),
                        "{{upstream}}: {{error_type}}",
                    ),
                ),
                "A status, or why there was no answer.",
                nothing="No errors",
            ),
            Panel(
                "Calls without an answer",
                RATE,
                (_each("tailrace_upstream_failed_calls_total"),),
                "Whatever was tried: retries and hedges included.",
            ),
        ),
    ),
    Row(
        "Places",
        (
            Panel(
                "Bulkhead in use",
                SHARE,
                (
                    (
                        share(
                            f"tailrace_bulkhead_in_flight{{{UPSTREAM}}}",
                            f"tailrace_bulkhead_limit{{{UPSTREAM}}}",
                        ),
                        "{{instance}} {{upstream}}",
                    ),
                ),
            ),
            Panel(
                "Waiting for a place",
                COUNT,
                ((f"sum by (upstream) (tailrace_bulkhead_queued{{{UPSTREAM}}})", NAME),),
            ),
            Panel(
                "Wait, P99",
                SECONDS,
                (
                    (
                        quantile(0.99, "tailrace_bulkhead_wait_seconds", UPSTREAM, "upstream"),
                        NAME,
                    ),
                ),
                "Only of calls that had to wait.",
            ),
            Panel(
                "Limit",
                COUNT,
                ((f"sum by (upstream) (tailrace_bulkhead_limit{{{UPSTREAM}}})", NAME),),
                "It moves when the upstream has an adaptive limit.",
            ),
            Panel("Connections opened", EVENTS, (_each("tailrace_upstream_connects_total"),)),
            Panel(
                "Idle connections",
                COUNT,
                ((f"sum by (upstream) (tailrace_upstream_idle_connections{{{UPSTREAM}}})", NAME),),
            ),
        ),
    ),
    Row(
        "Extra attempts",
        (
            Panel(
                "Attempts per call",
                COUNT,
                (
                    (
                        share(
                            rate("tailrace_upstream_attempts_total", UPSTREAM, "upstream"),
                            rate("tailrace_upstream_calls_total", UPSTREAM, "upstream"),
                        ),
                        NAME,
                    ),
                ),
                "EFFECTIVE against ACTUAL: what retries and hedges add.",
            ),
            Panel(
                "Retries and hedges",
                RATE,
                (
                    (
                        rate("tailrace_upstream_retries_total", UPSTREAM, "upstream"),
                        "{{upstream}} retries",
                    ),
                    (
                        rate("tailrace_upstream_hedges_total", UPSTREAM, "upstream"),
                        "{{upstream}} hedges",
                    ),
                    (
                        rate("tailrace_upstream_hedge_wins_total", UPSTREAM, "upstream"),
                        "{{upstream}} hedges that won",
                    ),
                ),
            ),
            Panel(
                "Refused extra attempts",
                RATE,
                (
                    (
                        rate("tailrace_attempt_refusals_total", UPSTREAM, "upstream, code")
                        + " > 0",
                        "{{upstream}}: {{code}}",
                    ),
                ),
                nothing="None was refused",
            ),
        ),
    ),
    Row(
        "Cache",
        (
            Panel(
                "Lookups",
                EVENTS,
                (
                    (
                        rate("tailrace_cache_lookups_total", UPSTREAM, "upstream, result") + " > 0",
                        "{{upstream}}: {{result}}",
                    ),
                ),
                nothing="Nothing is cached",
            ),
            Panel(
                "Kept",
                BYTES,
                (
                    (f"sum(tailrace_cache_bytes{{{JOB}}})", "used"),
                    (f"sum(tailrace_cache_max_bytes{{{JOB}}})", "allowed"),
                ),
            ),
            Panel(
                "Entries that made room",
                EVENTS,
                ((rate("tailrace_cache_evictions_total", JOB), "evicted"),),
            ),
            Panel("Bytes received", BYTES_RATE, (_each("tailrace_upstream_received_bytes_total"),)),
        ),
    ),
)
