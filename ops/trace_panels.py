"""The row of the service's dashboard that says what becomes of traces (req 16.6).

Prevents an exporter that loses what somebody will look for, unseen.
"""

from __future__ import annotations

from typing import Final

from panels import COUNT, EVENTS, JOB, Panel, Row, rate

TRACES: Final = Row(
    "Traces",
    (
        Panel(
            "Kept",
            EVENTS,
            ((rate("tailrace_traces_kept_total", JOB, "reason"), "{{reason}}"),),
            about="Finished requests that were worth a trace, by why. All zero: no tracing.",
            width=6,
        ),
        Panel(
            "Lost",
            EVENTS,
            (
                (rate("tailrace_traces_dropped_total", JOB, "reason"), "{{reason}}"),
                (rate("tailrace_spans_dropped_total", JOB, "reason"), "spans {{reason}}"),
            ),
            about="No request waits for any of it.",
            width=6,
        ),
        Panel(
            "Waiting to be sent",
            COUNT,
            ((f"sum(tailrace_traces_waiting{{{JOB}}})", "traces"),),
            width=6,
        ),
        Panel(
            "Exchanges with the collector",
            EVENTS,
            (
                (rate("tailrace_trace_exports_total", JOB, "result"), "{{result}}"),
                (rate("tailrace_spans_exported_total", JOB), "spans taken"),
            ),
            width=6,
        ),
    ),
)
