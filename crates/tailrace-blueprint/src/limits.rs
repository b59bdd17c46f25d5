//! Where to listen and the limits that protect the process (DESIGN 9). Every default stands here
//! once and is the value the plane runs with; `tailrace explain --origin` shows where an override
//! came from.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    pub host: String,
    /// 0 lets the system choose.
    pub port: u16,
    pub admin_host: String,
    pub admin_port: u16,
    /// A file that holds the token changes over the admin port must carry; `null` takes the
    /// variable `TAILRACE_ADMIN_TOKEN`, and without that nothing can be changed.
    pub admin_token_file: Option<String>,
    /// Worker threads; `null` follows the CPUs this process may use (affinity and cgroup quota, req
    /// 11.1).
    pub workers: Option<u16>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8080,
            admin_host: "127.0.0.1".to_owned(),
            admin_port: 9900,
            admin_token_file: None,
            workers: None,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// From the first byte of a request (or from accept) to the end of its head.
    pub head_read_ms: u32,
    /// A keep-alive connection without a request.
    pub idle_ms: u32,
    /// A request body, from head to last byte.
    pub body_read_ms: u32,
    /// Writing one reply to a client that reads slowly.
    pub write_ms: u32,
    pub head_max_bytes: u32,
    pub headers_max: u16,
    pub uri_max_bytes: u32,
    pub request_body_max_bytes: u32,
    pub upstream_body_max_bytes: u32,
    /// All bodies held for one request.
    pub request_memory_max_bytes: u32,
    /// All bodies the process holds; `null`: half of what the container allows (req 11.1).
    pub memory_max_bytes: Option<u64>,
    pub json_depth_max: u16,
    /// All cached answers of the process, with what keeping them takes (req 16.5).
    pub cache_max_bytes: u32,
    pub connections_max: u32,
    /// Idle upstream connections are closed after this; stay below the peers' keep-alive.
    pub pool_idle_ms: u32,
    /// Addresses of upstreams are resolved again this often, off the request path.
    pub dns_refresh_ms: u32,
    /// After SIGTERM: not ready, then wait this long for requests in flight.
    pub drain_ms: u32,
    /// Time kept back from the deadline for assembling and writing the reply (ALGORITHMS 3).
    pub reserve_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_read_ms: 5_000,
            idle_ms: 30_000,
            body_read_ms: 10_000,
            write_ms: 10_000,
            head_max_bytes: 16 * 1024,
            headers_max: 100,
            uri_max_bytes: 8 * 1024,
            request_body_max_bytes: 1024 * 1024,
            upstream_body_max_bytes: 4 * 1024 * 1024,
            request_memory_max_bytes: 16 * 1024 * 1024,
            memory_max_bytes: None,
            json_depth_max: 64,
            cache_max_bytes: 64 * 1024 * 1024,
            connections_max: 4096,
            pool_idle_ms: 4_000,
            dns_refresh_ms: 5_000,
            drain_ms: 15_000,
            reserve_ms: 2,
        }
    }
}

/// Names of the reply's own fields; they may be changed where a view has a part of that name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Envelope {
    pub degraded: String,
    pub request_id: String,
    pub served_at_ms: String,
}

impl Default for Envelope {
    fn default() -> Self {
        Self {
            degraded: "degraded".to_owned(),
            request_id: "request_id".to_owned(),
            served_at_ms: "served_at_ms".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Json,
    Text,
    Off,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    pub format: LogFormat,
    /// Records each worker's ring can hold; a full ring drops and counts (req 5.2).
    pub ring: u32,
    /// A file to append to; standard output when `null`.
    pub path: Option<String>,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            ring: 4096,
            path: None,
        }
    }
}
