"""The row of the service's dashboard that says what becomes of traces (req 16.6).

Prevents an exporter that loses what somebody will look for, unseen.
"""

from __future__ import annotations

from typing import Final

from panels import COUNT, JOB, Panel, Row

TRACES: Final = Row(
    "Traces",
    (
        Panel(
            "Kept",
            COUNT,
            (
                (
                    f"sum by (reason) (increase(tailrace_traces_kept_total{{{JOB}}}"
                    "[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            about="Finished requests that were worth a trace, by why. All zero: no tracing.",
        ),
        Panel(
            "Lost",
            COUNT,
            (
                (
                    f"sum by (reason) (increase(tailrace_traces_dropped_total{{{JOB}}}"
                    "[$__rate_interval]))",
                    "{{reason}}",
                ),
                (
                    f"sum by (reason) (increase(tailrace_spans_dropped_total{{{JOB}}}"
                    "[$__rate_interval]))",
                    "spans {{reason}}",
                ),
                (f"sum(tailrace_traces_waiting{{{JOB}}})", "waiting"),
            ),
            about="No request waits for any of it.",
        ),
        Panel(
            "Exchanges with the collector",
            COUNT,
            (
                (
                    f"sum by (result) (increase(tailrace_trace_exports_total{{{JOB}}}"
                    "[$__rate_interval]))",
                    "{{result}}",
                ),
                (
                    f"sum(increase(tailrace_spans_exported_total{{{JOB}}}[$__rate_interval]))",
                    "spans taken",
                ),
            ),
        ),
    ),
)
