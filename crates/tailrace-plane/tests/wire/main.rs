//! The running plane over real sockets: one file per behaviour (RELIABILITY 3-5).
//!
//! A scripted upstream (`upstream.rs`) records every request head it is sent and answers with any
//! bytes a test likes; a raw client (`client.rs`) sends any bytes and reads with a limit. Nothing
//! sleeps: every wait is for bytes, for a closed connection or for a number, and every wait has an
//! end.

// A test stops where an assumption of its own fails.
#![allow(clippy::expect_used)]

#[path = "../h1/corpus.rs"]
mod corpus;

mod client;
mod collector;
mod patience;
mod service;
mod upstream;

mod hostile;

mod admin;
mod admission;
mod answers;
mod attempt_timeout;
mod bodies;
mod breaking;
mod bridge;
mod bridge_policies;
mod caching;
mod cancellation;
mod caps;
mod computed;
mod console;
mod corners;
mod counts;
mod deadlines;
mod drain;
mod endings;
mod extra;
mod headers;
mod honest;
mod hop_by_hop;
mod identity;
mod in_time;
mod keepalive;
mod large_bodies;
mod layouts;
mod limits;
mod lists;
mod live;
mod live_admission;
mod live_asks;
mod memory;
mod partial;
mod pressure;
mod profiles;
mod rates;
mod receipts;
mod request_ids;
mod seen;
mod segments;
mod slow_sockets;
mod smuggling;
mod spoofed;
mod standing_in;
mod streams;
mod task_dump_bounds;
mod task_dumps;
mod trace_export;
mod tracing;
mod turns;
mod unread_bodies;
mod upstream_limits;
mod watched;
