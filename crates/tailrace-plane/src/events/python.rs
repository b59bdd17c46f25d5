//! What happens in Python on the request path. None of it is there in a service without handlers.

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
