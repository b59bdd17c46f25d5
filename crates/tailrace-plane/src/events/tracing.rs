//! What becomes of traces.

use super::events;

events! {
    "trace": "A finished request was worth a trace"
        metrics {
            Counter TRACES_KEPT "tailrace_traces_kept" [reason]
                "Traces that wait to be sent or were sent, by why they are kept";
            Counter TRACES_DROPPED "tailrace_traces_dropped" [reason]
                "Traces that were worth keeping and are lost: rate, full queue, or the collector";
            Gauge TRACES_WAITING "tailrace_traces_waiting" [] "Traces that wait to be sent";
        }
        fields {}

    "trace.export": "Spans were sent to the collector"
        metrics {
            Counter SPANS_EXPORTED "tailrace_spans_exported" [] "Spans the collector has taken";
            Counter SPANS_DROPPED "tailrace_spans_dropped" [reason]
                "Spans that were sent and did not arrive";
            Counter TRACE_EXPORTS "tailrace_trace_exports" [result]
                "Exchanges with the collector by how they ended: ok, retried or failed for good";
        }
        fields {}
}
