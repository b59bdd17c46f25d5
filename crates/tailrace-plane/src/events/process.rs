//! What the process is and has.

use super::events;

events! {
    "service": "The service as it is now"
        metrics {
            Gauge READY "tailrace_ready" [] "1 while the service takes requests";
            Gauge WORKERS "tailrace_workers" [] "Worker threads";
            Gauge TASKS "tailrace_tasks" []
                "Tasks alive in the workers: one for each connection, and a few of each worker";
            Gauge CONFIG_REVISION "tailrace_config_revision" []
                "The configuration in force, counted from 1";
            Counter CONFIG_CHANGES "tailrace_config_changes" [result]
                "Changes of the configuration that were asked for, by how they ended";
        }
        fields {}

    "buffer": "A request needed a large buffer"
        metrics {
            Counter BUFFER_POOL_HITS "tailrace_buffer_pool_hits" [] "Buffers taken from the pool";
            Counter BUFFER_POOL_MISSES "tailrace_buffer_pool_misses" [] "Buffers allocated";
        }
        fields {}

    "memory": "Bytes of bodies that requests hold, of all workers"
        metrics {
            Gauge MEMORY_HELD "tailrace_memory_held_bytes" []
                "Bodies of requests, answers and replies, and up to 256 KiB that a worker keeps";
            Gauge MEMORY_MAX "tailrace_memory_max_bytes" [] "The most of it: `memory_max`";
        }
        fields {}

    "process": "The process as the system sees it; absent where there is no /proc"
        metrics {
            Counter PROCESS_CPU "process_cpu_time_seconds" [cpu_mode]
                "Processor time of all threads";
            Gauge PROCESS_MEMORY "process_memory_usage_bytes" [] "Memory that is resident";
            Gauge PROCESS_THREADS "process_threads" [] "Threads";
            Gauge PROCESS_DESCRIPTORS "process_open_file_descriptors" []
                "Open files and sockets";
            Gauge PROCESS_UPTIME "process_uptime_seconds" [] "Since the service was started";
        }
        fields {}

    "scrape": "Somebody has read the metrics"
        metrics {
            Gauge METRICS_SERIES "tailrace_metrics_series" [] "Series shown";
            Gauge METRICS_DROPPED_SERIES "tailrace_metrics_dropped_series" []
                "Series left out because there would be more than 5000: zeros first";
        }
        fields {}
}
