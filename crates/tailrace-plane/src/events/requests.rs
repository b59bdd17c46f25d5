//! What happens to a request and to its parts.

use super::events;

events! {
    "request": "A request has ended: answered, refused, or its client has left"
        metrics {
            Histogram REQUEST_DURATION "http_server_request_duration_seconds"
                [view, http_route, http_request_method, http_response_status_code, url_scheme,
                 error_type]
                "From the head to the assembled reply";
            Counter REQUESTS "tailrace_requests" [view, status] "Replies by view and status";
            Counter REPLIES "tailrace_replies" [view, outcome]
                "What clients got: complete, degraded, failed (5xx) or rejected (4xx) replies";
            Counter DEGRADED_REPLIES "tailrace_degraded_replies" [view]
                "Replies with at least one part missing";
            Counter INTERPRETER_ENTRIES "tailrace_interpreter_entries" [view]
                "Requests handed to Python: to a handler, or for computed fields; else 0";
            Counter CANCELLED_REQUESTS "tailrace_cancelled_requests" [view]
                "Clients that left before their reply";
            Counter UNMATCHED_REQUESTS "tailrace_unmatched_requests" [status]
                "Requests that reached no view";
            Gauge IN_FLIGHT_REQUESTS "tailrace_in_flight_requests" [] "Requests in flight";
        }
        fields {
            "time_ms" milliseconds "end of the request, since 1970";
            "request_id" text "as in the reply";
            "trace_id" text "of the trace it belongs to; absent without one";
            "method" text "of the request; `_OTHER` when it has no name here";
            "view" text "`_unmatched` when no view was reached";
            "route" text "the view's path as it is declared";
            "path" text "as it was asked for, without the query; secret parameters are `[secret]`";
            "status" count "499 when the client left";
            "duration_us" microseconds "from the head to the assembled reply";
            "bytes" bytes "of the body";
            "code" text "of a [problem](problems.md); absent on success";
            "client_gone" flag "`true` when the client left; otherwise absent";
            "parts" object "for each part and computed field its name and the fields of *part*";
            "python" object "the fields of *computed*; absent when nothing was computed";
        }

    "request.measured": "One request in 64 is measured with the clocks that cost something"
        metrics {
            Counter MEASURED_REQUESTS "tailrace_measured_requests" [view]
                "Requests that were measured closely: what the three below are divided by";
            Counter MEASURED_CPU "tailrace_measured_cpu_seconds" [view]
                "Processor time of their worker in their polls";
            Counter MEASURED_ALLOCATIONS "tailrace_measured_allocations" [view]
                "Allocations in their polls, without Python's";
            Counter MEASURED_BYTES "tailrace_measured_allocated_bytes" [view]
                "Bytes of these allocations";
        }
        fields {}

    "request.slow": "A request took longer than the running P99 of its view"
        metrics {
            Counter TAIL_REQUESTS "tailrace_tail_requests" [view]
                "Requests slower than the running P99 of their view";
            Counter TAIL_PART_REQUESTS "tailrace_tail_part_requests" [view, part]
                "Slow requests on whose critical path the part was";
            Counter TAIL_PART_PATH "tailrace_tail_part_path_seconds" [view, part]
                "Time of the part on the critical path of slow requests";
            Counter TAIL_PART_SAVING "tailrace_tail_part_saving_seconds" [view, part]
                "How much earlier slow requests had ended, had the part taken no time";
            Counter RECEIPTS_LOST "tailrace_receipts_lost" []
                "Receipts not kept because somebody read at that moment";
        }
        fields {}

    "part": "A part of a reply has its value, or nothing stands in for it"
        metrics {
            Counter PART_RESULTS "tailrace_part_results" [view, part, result]
                "Parts by how they ended: ok, skipped (its condition did not hold) or the reason";
            Counter PART_SOURCE "tailrace_part_source" [view, part, source]
                "Parts of replies by where their value came from";
        }
        fields {
            "us" microseconds "from its start to its end; 0 when it was not started";
            "failed" text "the [reason](reasons.md); absent on success";
            "source" text "where its value is from; absent when it is fresh";
            "age_s" seconds "how old a kept value is; absent when it is fresh";
        }

    "log": "Python code has logged something"
        metrics {
            Counter LOG_DROPPED "tailrace_log_dropped" []
                "Records of Python's logging that the full ring dropped";
        }
        fields {
            "time_ms" milliseconds "when it was logged, since 1970";
            "level" text "`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`";
            "logger" text "name of the logger";
            "message" text "what was logged, its arguments filled in";
            "request_id" text "of the request whose handler logged it; absent outside of handlers";
            "exception" text "the traceback; absent without one";
        }

    "log.lost": "A line of the log is lost"
        metrics {
            Counter ACCESS_LOG_DROPPED "tailrace_access_log_dropped" []
                "Records the full ring dropped";
            Counter ACCESS_LOG_FAILED "tailrace_access_log_failed" []
                "Records whose line could not be written";
        }
        fields {}
}
