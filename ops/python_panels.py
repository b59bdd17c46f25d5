"""The row of the service's dashboard about Python: handlers, computed fields and what they run on.

Prevents a loop that stands still from being taken for a slow upstream.
"""

from __future__ import annotations

from typing import Final

from panels import COUNT, EVENTS, JOB, SECONDS, SHARE, VIEW, Panel, Row, quantiles, rate

# A service that only has declared views has none of these series.
NO_PYTHON: Final = "No view asks Python"
NO_HANDLERS: Final = "No handlers"
NO_COMPUTED: Final = "No computed fields"

PYTHON: Final = Row(
    "Python",
    (
        Panel(
            "Event loop late",
            SECONDS,
            quantiles("tailrace_python_loop_lag_seconds", JOB),
            "From an event for Python to its event loop taking it.",
            nothing=NO_PYTHON,
        ),
        Panel(
            "Waits for the interpreter lock",
            SECONDS,
            quantiles("tailrace_python_lock_wait_seconds", JOB),
            nothing=NO_PYTHON,
        ),
        Panel(
            "Garbage collector, share of time",
            SHARE,
            (
                (
                    rate("tailrace_python_gc_pause_seconds_sum", JOB, "generation"),
                    "generation {{generation}}",
                ),
            ),
            nothing=NO_PYTHON,
        ),
        Panel(
            "In handlers",
            COUNT,
            ((f"sum by (view) (tailrace_handler_in_flight{{{VIEW}}})", "{{view}}"),),
            nothing=NO_HANDLERS,
        ),
        Panel(
            "Handlers that failed, were full or held the loop",
            EVENTS,
            (
                (rate("tailrace_handler_errors_total", VIEW, "view"), "{{view}} failed"),
                (rate("tailrace_handler_refused_total", VIEW, "view"), "{{view}} full"),
                (rate("tailrace_handler_stalls_total", VIEW, "view"), "{{view}} held"),
                (rate("tailrace_handler_overdue_total", VIEW, "view"), "{{view}} overdue"),
            ),
            nothing=NO_HANDLERS,
        ),
        Panel(
            "Computed fields, time in Python",
            SECONDS,
            quantiles("tailrace_computed_seconds", VIEW),
            nothing=NO_COMPUTED,
        ),
        Panel(
            "Computed fields, wait for Python",
            SECONDS,
            quantiles("tailrace_computed_wait_seconds", VIEW),
            nothing=NO_COMPUTED,
        ),
        Panel(
            "Computed fields not asked for, or holding the loop",
            EVENTS,
            (
                (rate("tailrace_computed_refused_total", VIEW, "view"), "{{view}} full"),
                (rate("tailrace_computed_stalls_total", VIEW, "view"), "{{view}} held"),
            ),
            nothing=NO_COMPUTED,
        ),
    ),
)
