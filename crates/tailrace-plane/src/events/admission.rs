//! What happens before a request is let in.

use super::events;

events! {
    "admission": "A limit has been asked whether a request may come in"
        metrics {
            Counter ADMISSION_DECISIONS "tailrace_admission_decisions" [limit, result]
                "Requests by the limit that was asked and what it said";
            Counter SHED_REQUESTS "tailrace_shed_requests" [class]
                "Requests refused under overload, by what they are worth";
            Counter IGNORED_PRIORITIES "tailrace_ignored_priorities" []
                "Priorities named by peers that are not trusted to";
            Counter RATE_CLIENTS_EVICTED "tailrace_rate_clients_evicted" []
                "Clients forgotten while they still owed something: clients_max is too low";
            Gauge RATE_CLIENTS "tailrace_rate_clients" [] "Clients whose rate is remembered";
            Gauge INBOUND_CALLS "tailrace_inbound_calls" []
                "Calls that the requests in progress are expected to need";
            Gauge INBOUND_CALLS_MAX "tailrace_inbound_calls_max" []
                "Calls that the requests in progress may need";
        }
        fields {}

    "pressure": "A worker has measured how late it is"
        metrics {
            Gauge SHED_RATIO "tailrace_shed_ratio" []
                "Share of requests refused under overload, of the worker that refuses most";
            Gauge READY_DELAY "tailrace_ready_delay_seconds" []
                "How long what is ready waits to run, of the worker where it waits longest";
            Gauge ROOM "tailrace_room_requests" []
                "Requests a worker works on at once under overload, of the worker with least";
            Gauge CPU_RATIO "tailrace_cpu_ratio" []
                "Processor used, of what this process may have, of the busiest worker";
            Gauge BROWNOUT_RUNG "tailrace_brownout_rung" [view]
                "Weak parts left out, in steps of the view's order, where most are left out";
        }
        fields {}

    "client.connection": "A client has connected"
        metrics {
            Counter CONNECTIONS_ACCEPTED "tailrace_connections_accepted" []
                "Client connections accepted";
            Counter CONNECTIONS_REFUSED "tailrace_connections_refused" []
                "Client connections over the limit";
            Gauge CONNECTIONS "tailrace_connections" [] "Client connections open";
        }
        fields {}
}
