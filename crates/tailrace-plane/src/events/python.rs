//! What happens in Python on the request path. None of it is there in a service that has neither
//! handlers nor computed fields.

use super::events;

events! {
    "handler": "A Python handler has begun or ended"
        metrics {
            Gauge HANDLER_IN_FLIGHT "tailrace_handler_in_flight" [view]
                "Requests in this handler, also those whose client was told 504";
            Counter HANDLER_REFUSED "tailrace_handler_refused" [view]
                "Requests refused because their handler was full";
            Counter HANDLER_ERRORS "tailrace_handler_errors" [view]
                "Handlers that ended with an exception of their own";
            Counter HANDLER_STALLS "tailrace_handler_stalls" [view]
                "Times this handler was seen to hold the event loop";
            Counter HANDLER_OVERDUE "tailrace_handler_overdue" [view]
                "Times this handler was seen to run on after it was cancelled";
        }
        fields {}

    "computed": "Python has made the computed fields of a request"
        metrics {
            Histogram COMPUTED "tailrace_computed_seconds" [view]
                "Time in Python for all computed fields of a request";
            Histogram COMPUTED_WAIT "tailrace_computed_wait_seconds" [view]
                "Waits for Python and for its answer, computed fields of a request";
            Gauge COMPUTED_IN_FLIGHT "tailrace_computed_in_flight" [view]
                "Requests whose computed fields Python has, also those that went on without";
            Counter COMPUTED_REFUSED "tailrace_computed_refused" [view]
                "Requests whose computed fields were not asked for: too many waited";
            Counter COMPUTED_STALLS "tailrace_computed_stalls" [view]
                "Times a computed field of this view was seen to hold the event loop";
        }
        fields {
            "us" microseconds "in Python, all fields together";
            "wait_us" microseconds "until it had begun, and until its answer was back";
            "lock_us" microseconds "of that: until it had the interpreter lock";
        }

    "python.pause": "Python was not there when it was needed"
        metrics {
            Histogram PYTHON_LOOP_LAG "tailrace_python_loop_lag_seconds" []
                "From an event for Python to its event loop taking it, per batch";
            Histogram PYTHON_LOCK_WAIT "tailrace_python_lock_wait_seconds" []
                "Waits of the event loop's thread for the interpreter lock, per batch";
            Histogram PYTHON_GC_PAUSE "tailrace_python_gc_pause_seconds" [generation]
                "Runs of Python's garbage collector, which stop all Python code";
            Gauge PYTHON_WAITING "tailrace_python_waiting_seconds" []
                "How long the oldest of what waits for the event loop has waited";
        }
        fields {}
}
