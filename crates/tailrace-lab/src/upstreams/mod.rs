//! `tailrace-lab upstreams`: services that do not exist, with tails that are known. A governed
//! service can only be judged against downstreams whose latency and faults are stated and can be
//! changed while load runs; real ones are neither stated nor obedient.
//!
//! How: every upstream has its own port; all share one thread, one timer and one seed. The latency
//! sequence of an upstream depends on the seed and its name only (`law.rs`), faults draw from a
//! sequence of their own, and the admin port (`control.rs`) changes both live.
//!
//! Limits: a simulated upstream has infinite capacity; its latency does not grow with load.

mod control;
mod misbehave;
mod serve;
mod state;

use crate::alarm::Alarm;
use crate::args::{self, Opt, Parsed};
use crate::failure::{Failure, OK};
use crate::http::listen::{accept, bind, loopback};
use crate::output::{say, Sink};
use crate::scenario::{self, Scenario};
use crate::stop::Stop;
use serde_json::json;
use state::Upstream;
use std::rc::Rc;
use tokio::net::TcpListener;
use tokio::task::spawn_local;

const OPTIONS: &[Opt] = &[
    (
        "--scenario",
        "orders",
        "built-in scenario (default: orders)",
    ),
    ("--config", "FILE.json", "a scenario of your own instead"),
    (
        "--port-base",
        "N",
        "first port; 0 = system-chosen (default: 9101)",
    ),
    (
        "--admin-port",
        "N",
        "admin port; 0 = system-chosen (default: 9109)",
    ),
    ("--seed", "N", "replaces the scenario's seed"),
];

pub(crate) fn help() -> String {
    args::help(
        "Simulated upstreams with latency laws and faults, changed live.",
        &[
            "tailrace-lab upstreams",
            "tailrace-lab upstreams --config shop.json --port-base 7001",
            "curl -d '{\"fault\":{\"kind\":\"hang\"}}' 127.0.0.1:9109/upstreams/coupons",
        ],
        OPTIONS,
    )
}

pub(crate) async fn run(args: &[String], out: &Sink, stop: &Stop) -> Result<i32, Failure> {
    let args = match args::parse(args, OPTIONS)? {
        Parsed::Help => {
            say(&help());
            return Ok(OK);
        }
        Parsed::Args(args) => args,
    };
    let mut scenario = match (args.text("--config"), args.text("--scenario")) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("give `--config` or `--scenario`, not both"));
        }
        (Some(file), None) => read_config(file)?,
        (None, None | Some("orders")) => {
            Scenario::from_text(scenario::ORDERS).map_err(Failure::usage)?
        }
        (None, Some(other)) => {
            return Err(Failure::usage(format!(
                "unknown scenario `{other}`; valid: orders"
            )));
        }
    };
    scenario.seed = args.number("--seed", scenario.seed, 0, u64::MAX)?;
    let port_base = args.number("--port-base", 9101, 0, u16::MAX)?;
    let admin_port = args.number("--admin-port", 9109, 0, u16::MAX)?;
    serve(scenario, port_base, admin_port, out, stop).await
}

fn read_config(file: &str) -> Result<Scenario, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read `{file}`: {error}")))?;
    Scenario::from_text(&text).map_err(|message| Failure::usage(format!("{file}: {message}")))
}

async fn serve(
    scenario: Scenario,
    port_base: u16,
    admin_port: u16,
    out: &Sink,
    stop: &Stop,
) -> Result<i32, Failure> {
    let mut bound: Vec<(Rc<Upstream>, TcpListener)> = Vec::new();
    for (index, spec) in scenario.upstreams.into_iter().enumerate() {
        let port = match port_base {
            0 => 0,
            base => u16::try_from(usize::from(base) + index)
                .map_err(|_| Failure::usage("`--port-base` leaves too few ports below 65536"))?,
        };
        let listener = bind(loopback(port), "--port-base")?;
        let address = listener.local_addr()?;
        bound.push((
            Rc::new(Upstream::new(spec, scenario.seed, address)),
            listener,
        ));
    }
    let admin = bind(loopback(admin_port), "--admin-port")?;
    let all: Rc<[Rc<Upstream>]> = bound
        .iter()
        .map(|(upstream, _)| Rc::clone(upstream))
        .collect();
    out(json!({
        "ready": true,
        "admin": admin.local_addr()?.to_string(),
        "upstreams": all.iter().map(|upstream| json!({
            "name": upstream.spec.name,
            "address": upstream.address.to_string(),
        })).collect::<Vec<_>>(),
    }));

    let alarm = Alarm::new()?;
    for (upstream, listener) in bound {
        let alarm = Rc::clone(&alarm);
        spawn_local(async move {
            loop {
                let stream = accept(&listener).await;
                spawn_local(serve::connection(
                    stream,
                    Rc::clone(&upstream),
                    Rc::clone(&alarm),
                ));
            }
        });
    }
    let control_stop = stop.clone();
    spawn_local(async move {
        loop {
            let stream = accept(&admin).await;
            spawn_local(control::connection(
                stream,
                Rc::clone(&all),
                control_stop.clone(),
            ));
        }
    });
    tokio::select! {
        reason = stop.wait() => {
            say(&format!("stopped ({reason:?})").to_lowercase());
            Ok(OK)
        }
        failed = alarm.drive() => {
            Err(Failure::environment(format!("the timer failed: {:?}", failed.err())))
        }
    }
}
