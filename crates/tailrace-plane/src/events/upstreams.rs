//! What happens to calls of upstreams, their attempts, and what is kept of their answers.

use super::events;

events! {
    "attempt": "An exchange with an upstream has ended"
        metrics {
            Histogram ATTEMPT_DURATION "http_client_request_duration_seconds"
                [upstream, server_address, server_port, http_request_method,
                 http_response_status_code, error_type]
                "One attempt, from dispatch to the end of its answer";
            Counter UPSTREAM_ATTEMPTS "tailrace_upstream_attempts" [upstream] "Wire exchanges";
            Counter UPSTREAM_RETRIES "tailrace_upstream_retries" [upstream]
                "Attempts after a failed one";
            Counter UPSTREAM_HEDGES "tailrace_upstream_hedges" [upstream]
                "Attempts beside a slow one";
            Counter UPSTREAM_HEDGE_WINS "tailrace_upstream_hedge_wins" [upstream]
                "Hedges that answered before the attempt they were beside";
            Counter UPSTREAM_FAILURES "tailrace_upstream_failures" [upstream]
                "Attempts that failed";
            Counter UPSTREAM_TIMEOUTS "tailrace_upstream_timeouts" [upstream]
                "Attempts that ran out of time";
            Counter UPSTREAM_RECEIVED "tailrace_upstream_received_bytes" [upstream]
                "Bytes of answers";
            Counter ATTEMPT_REFUSALS "tailrace_attempt_refusals" [upstream, code]
                "Retries and hedges that were refused, by code";
        }
        fields {}

    "call": "A part, or a handler, has called an upstream"
        metrics {
            Counter UPSTREAM_CALLS "tailrace_upstream_calls" [upstream] "Logical calls";
            Counter UPSTREAM_FAILED_CALLS "tailrace_upstream_failed_calls" [upstream]
                "Logical calls that ended without an answer, whatever was tried";
            Histogram BULKHEAD_WAIT "tailrace_bulkhead_wait_seconds" [upstream]
                "Waits of calls that had to queue for a place and its connection";
            Gauge BULKHEAD_IN_FLIGHT "tailrace_bulkhead_in_flight" [upstream] "Calls in flight";
            Gauge BULKHEAD_QUEUED "tailrace_bulkhead_queued" [upstream]
                "Calls waiting for a place";
            Gauge BULKHEAD_LIMIT "tailrace_bulkhead_limit" [upstream] "Calls allowed in flight";
        }
        fields {}

    "connection": "A connection to an upstream is opened or kept"
        metrics {
            Counter UPSTREAM_CONNECTS "tailrace_upstream_connects" [upstream]
                "Connections opened";
            Gauge UPSTREAM_IDLE "tailrace_upstream_idle_connections" [upstream]
                "Idle pooled connections";
            Counter RESOLVE_FAILURES "tailrace_resolve_failures" []
                "Upstream names that did not resolve";
        }
        fields {}

    "cache": "A call of a cached part has looked for an answer that is kept"
        metrics {
            Counter CACHE_LOOKUPS "tailrace_cache_lookups" [upstream, result]
                "Calls of cached parts by what the cache had";
            Counter CACHE_STORES "tailrace_cache_stores" [upstream, result]
                "Answers of fetches by what became of them";
            Counter CACHE_REFRESHES "tailrace_cache_refreshes" [upstream]
                "Fetches that nobody waited for";
            Counter CACHE_EVICTIONS "tailrace_cache_evictions" []
                "Entries that made room for others";
            Counter CACHE_INVALIDATIONS "tailrace_cache_invalidations" []
                "Invalidations by call or admin port";
            Gauge CACHE_BYTES "tailrace_cache_bytes" [] "Bytes of all entries";
            Gauge CACHE_MAX_BYTES "tailrace_cache_max_bytes" [] "Bytes that entries may take";
            Gauge CACHE_ENTRIES "tailrace_cache_entries" [] "Entries kept";
            Gauge CACHE_FLIGHTS "tailrace_cache_flights" [] "Fetches in the air";
            Gauge CACHE_HOT_KEYS "tailrace_cache_hot_keys" []
                "Keys kept beside a worker, over all workers";
        }
        fields {}
}
