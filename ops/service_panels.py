"""The dashboard of a service: what its callers get, and what stands in the way.

Prevents an operator who has to know which of seventy metrics to ask.
"""

from __future__ import annotations

from typing import Final

from panels import (
    BYTES,
    CORES,
    COUNT,
    EVENTS,
    JOB,
    RATE,
    REQUESTS,
    SECONDS,
    SHARE,
    VIEW,
    Panel,
    Row,
    quantile,
    quantiles,
    rate,
    replies,
    share,
)
from python_panels import PYTHON
from trace_panels import TRACES

SLOW: Final = rate("tailrace_tail_requests_total", VIEW, "view")
MEASURED: Final = rate("tailrace_measured_requests_total", VIEW, "view")

SERVICE: Final = (
    Row(
        "What callers get",
        (
            Panel(
                "Complete replies",
                SHARE,
                ((replies('="complete"'), ""),),
                "Share of replies with all their parts; 4xx count for neither side.",
                kind="stat",
                width=6,
                height=5,
                steps=((None, "red"), (0.95, "orange"), (0.99, "green")),
                nothing="No requests",
            ),
            Panel(
                "Failed replies",
                SHARE,
                ((replies('="failed"'), ""),),
                "Share of replies that are 5xx.",
                kind="stat",
                width=6,
                height=5,
                steps=((None, "green"), (0.001, "orange"), (0.01, "red")),
                nothing="No requests",
            ),
            Panel(
                "Requests",
                RATE,
                ((rate("tailrace_requests_total", VIEW), ""),),
                kind="stat",
                width=6,
                height=5,
            ),
            Panel(
                "P99",
                SECONDS,
                ((quantile(0.99, REQUESTS, VIEW), ""),),
                kind="stat",
                width=6,
                height=5,
                nothing="No requests",
            ),
            Panel(
                "Duration",
                SECONDS,
                quantiles(REQUESTS, VIEW),
                "Each mark is one request, by its request_id, where Prometheus keeps exemplars.",
                exemplars=True,
            ),
            Panel(
                "P99 by view",
                SECONDS,
                ((quantile(0.99, REQUESTS, VIEW, "view"), "{{view}}"),),
            ),
            Panel(
                "Replies by outcome",
                RATE,
                ((rate("tailrace_replies_total", VIEW, "outcome"), "{{outcome}}"),),
            ),
            Panel(
                "Requests by status",
                RATE,
                ((rate("tailrace_requests_total", VIEW, "status") + " > 0", "{{status}}"),),
                nothing="No requests",
            ),
            Panel(
                "In flight",
                COUNT,
                (
                    (f"sum(tailrace_in_flight_requests{{{JOB}}})", "requests"),
                    (f"sum(tailrace_connections{{{JOB}}})", "connections"),
                    (f"sum(tailrace_tasks{{{JOB}}})", "tasks"),
                ),
            ),
            Panel(
                "Left, or asked for nothing",
                RATE,
                (
                    (rate("tailrace_cancelled_requests_total", VIEW), "client left"),
                    (rate("tailrace_unmatched_requests_total", JOB), "no view"),
                ),
            ),
        ),
    ),
    Row(
        "Parts",
        (
            Panel(
                "Parts that are missing, and why",
                EVENTS,
                (
                    (
                        rate(
                            "tailrace_part_results_total",
                            f'{VIEW},result!~"ok|skipped"',
                            "view, part, result",
                        )
                        + " > 0",
                        "{{view}} {{part}}: {{result}}",
                    ),
                ),
                width=12,
                nothing="None is missing",
            ),
            Panel(
                "Where values come from, if not fresh",
                EVENTS,
                (
                    (
                        rate(
                            "tailrace_part_source_total",
                            f'{VIEW},source!="fresh"',
                            "part, source",
                        )
                        + " > 0",
                        "{{part}}: {{source}}",
                    ),
                ),
                width=12,
                nothing="All are fresh",
            ),
        ),
    ),
    Row(
        "Pressure",
        (
            Panel(
                "Refused, by limit",
                RATE,
                (
                    (
                        rate(
                            "tailrace_admission_decisions_total",
                            f'{JOB},result="refused"',
                            "limit",
                        ),
                        "{{limit}}",
                    ),
                ),
            ),
            Panel(
                "How near to refusing",
                SHARE,
                (
                    (f"max(tailrace_cpu_ratio{{{JOB}}})", "processor"),
                    (f"max(tailrace_shed_ratio{{{JOB}}})", "refused under overload"),
                    (
                        f"max(tailrace_inbound_calls{{{JOB}}}"
                        f" / tailrace_inbound_calls_max{{{JOB}}})",
                        "calls",
                    ),
                ),
            ),
            Panel(
                "Wait of what is ready",
                SECONDS,
                ((f"max by (instance) (tailrace_ready_delay_seconds{{{JOB}}})", "{{instance}}"),),
            ),
            Panel(
                "Requests worked on at once",
                COUNT,
                ((f"min by (instance) (tailrace_room_requests{{{JOB}}})", "{{instance}}"),),
                nothing="No limit",
            ),
            Panel(
                "Weak parts left out",
                COUNT,
                ((f"max by (view) (tailrace_brownout_rung{{{VIEW}}})", "{{view}}"),),
                "Steps of the view's order.",
            ),
            Panel(
                "Shed, by priority",
                RATE,
                ((rate("tailrace_shed_requests_total", JOB, "class"), "{{class}}"),),
            ),
            Panel(
                "Connections",
                EVENTS,
                (
                    (rate("tailrace_connections_accepted_total", JOB), "accepted"),
                    (rate("tailrace_connections_refused_total", JOB), "refused"),
                ),
            ),
        ),
    ),
    PYTHON,
    Row(
        "What the slowest wait for",
        (
            Panel(
                "Saving, had the part taken no time",
                SECONDS,
                (
                    (
                        share(
                            rate("tailrace_tail_part_saving_seconds_total", VIEW, "view, part"),
                            "on (view) group_left " + SLOW,
                        ),
                        "{{view}} {{part}}",
                    ),
                ),
                "Of requests slower than the running P99 of their view; `tailrace why p99`.",
            ),
            Panel(
                "Time there, on the critical path",
                SECONDS,
                (
                    (
                        share(
                            rate("tailrace_tail_part_path_seconds_total", VIEW, "view, part"),
                            "on (view) group_left " + SLOW,
                        ),
                        "{{view}} {{part}}",
                    ),
                ),
            ),
            Panel(
                "Share of the slow on whose path the part is",
                SHARE,
                (
                    (
                        share(
                            rate("tailrace_tail_part_requests_total", VIEW, "view, part"),
                            "on (view) group_left " + SLOW,
                        ),
                        "{{view}} {{part}}",
                    ),
                ),
            ),
        ),
    ),
    Row(
        "What one request costs",
        tuple(
            Panel(
                title,
                unit,
                ((share(rate(metric, VIEW, "view"), MEASURED), "{{view}}"),),
                "Measured of one request in 64, in its polls; without Python's own.",
            )
            for title, unit, metric in (
                ("Processor time", SECONDS, "tailrace_measured_cpu_seconds_total"),
                ("Allocations", COUNT, "tailrace_measured_allocations_total"),
                ("Bytes allocated", BYTES, "tailrace_measured_allocated_bytes_total"),
            )
        ),
    ),
    Row(
        "Process",
        (
            Panel(
                "Processor, cores",
                CORES,
                (
                    (
                        rate("process_cpu_time_seconds_total", JOB, "instance, cpu_mode"),
                        "{{instance}} {{cpu_mode}}",
                    ),
                ),
            ),
            Panel(
                "Memory",
                BYTES,
                ((f"process_memory_usage_bytes{{{JOB}}}", "{{instance}}"),),
            ),
            Panel(
                "Bodies held",
                BYTES,
                (
                    (f"tailrace_memory_held_bytes{{{JOB}}}", "{{instance}}"),
                    (f"tailrace_memory_max_bytes{{{JOB}}}", "{{instance}} most"),
                ),
                "At the most, further calls end with memory_full.",
            ),
            Panel(
                "Threads and descriptors",
                COUNT,
                (
                    (f"process_threads{{{JOB}}}", "{{instance}} threads"),
                    (f"process_open_file_descriptors{{{JOB}}}", "{{instance}} descriptors"),
                ),
            ),
            Panel(
                "Buffers from the pool",
                SHARE,
                (
                    (
                        share(
                            rate("tailrace_buffer_pool_hits_total", JOB),
                            f"({rate('tailrace_buffer_pool_hits_total', JOB)}"
                            f" + {rate('tailrace_buffer_pool_misses_total', JOB)})",
                        ),
                        "",
                    ),
                ),
            ),
            Panel(
                "Lost log lines",
                EVENTS,
                tuple(
                    (rate(name, JOB), legend)
                    for name, legend in (
                        ("tailrace_access_log_dropped_total", "dropped"),
                        ("tailrace_access_log_failed_total", "not written"),
                        ("tailrace_log_dropped_total", "of Python dropped"),
                    )
                ),
            ),
            Panel(
                "Configuration",
                COUNT,
                ((f"tailrace_config_revision{{{JOB}}}", "{{instance}} revision"),),
            ),
        ),
    ),
    TRACES,
)
