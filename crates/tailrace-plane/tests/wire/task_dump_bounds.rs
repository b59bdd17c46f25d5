//! The task dump is bounded (req 12.2).

use crate::client::Client;
use crate::patience::eventually;
use crate::profiles::profile;
use crate::service::{strong, Service};
use crate::task_dumps::{asking, hold};
use serde_json::{json, Value};

// Bounded: the oldest are told, the rest is counted.
#[test]
fn of_many_requests_the_oldest_are_told() {
    let upstream = hold();
    let plane = Service::new()
        .upstream_with(
            "up",
            &upstream,
            json!({"bulkhead": {"limit": 1, "queue": 400}}),
        )
        .view("one", "/one/{id}", vec![strong("it", "/one/{id}")])
        .start();
    let count = 300;
    let clients: Vec<Client> = (0..count).map(|_| asking(&plane, "/one/7")).collect();
    eventually("all are in flight", || plane.in_flight() == count);
    // Who stands in line before its first call is counted, and told once it has had its turn.
    let told_of = |dump: &Value| {
        dump["workers"][0]["requests"]
            .as_array()
            .map_or(0, Vec::len)
    };
    let mut dump = Value::Null;
    eventually("all have had their turn", || {
        dump = profile(&plane, "/profile/tasks");
        told_of(&dump) == 256
    });
    let worker = &dump["workers"][0];
    let told = worker["requests"].as_array().expect("a list");
    assert_eq!(worker["requests_left_out"], json!(44));
    let numbers: Vec<u64> = told
        .iter()
        .filter_map(|one| one["number"].as_u64())
        .collect();
    assert_eq!(numbers, (1..=256).collect::<Vec<_>>());
    drop(clients);
}
