//! The lab: simulated upstreams, open-loop load and the naive aggregation, so that every claim about
//! tails, faults and overload can be shown on one machine with known inputs (req 2.1, 2.2).
//!
//! One entry point serves the program and the Python extension. Standard output carries JSON lines,
//! standard error what is said to a person. Everything runs on the calling thread.
//!
//! Exit codes: 0 done · 2 usage or config · 3 environment (a port is taken) · 4 the result is invalid
//! (the generator was the limit) · 70 internal · 130/143 a load run was interrupted or terminated.

mod alarm;
mod args;
mod clock;
mod failure;
mod fault;
mod http;
mod law;
mod load;
mod naive;
mod output;
mod scenario;
mod stop;
mod suggest;
mod ticker;
mod upstreams;

pub use failure::Failure;
use failure::{INTERNAL, OK};
pub use output::Sink;
use output::{say, standard};
use std::panic::{catch_unwind, AssertUnwindSafe};
pub use stop::{Reason, Stop};

const VERBS: [&str; 3] = ["upstreams", "load", "naive"];

/// Runs one command line, without the program's name, and returns its exit code.
pub fn run(args: &[String]) -> i32 {
    let ran = catch_unwind(AssertUnwindSafe(|| enter(args)));
    match ran {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => failure.report(),
        Err(_) => {
            let version = env!("CARGO_PKG_VERSION");
            say(&format!(
                "internal error in tailrace-lab {version}; please report the text above"
            ));
            INTERNAL
        }
    }
}

fn enter(args: &[String]) -> Result<i32, Failure> {
    raise_descriptor_limit();
    let options = tokio::runtime::LocalOptions::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(options)
        .map_err(|error| Failure::environment(format!("no event loop: {error}")))?;
    let out = standard();
    runtime.block_on(async {
        let stop = Stop::new();
        stop.listen()?;
        dispatch(args, &out, &stop).await
    })
}

/// One command line inside a local runtime that exists already: results go to `out`, and `stop`
/// ends it early. Tests run several verbs side by side this way.
pub async fn dispatch(args: &[String], out: &Sink, stop: &Stop) -> Result<i32, Failure> {
    let Some((verb, rest)) = args.split_first() else {
        return Err(Failure::usage(format!(
            "give a verb: {}; --help says more",
            VERBS.join(", ")
        )));
    };
    match verb.as_str() {
        "upstreams" => upstreams::run(rest, out, stop).await,
        "load" => load::run(rest, out, stop).await,
        "naive" => naive::run(rest, out, stop).await,
        "--help" | "-h" | "help" => {
            say(&format!(
                "{}\n{}\n{}",
                upstreams::help(),
                load::help(),
                naive::help()
            ));
            Ok(OK)
        }
        "--version" => {
            out(serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
            Ok(OK)
        }
        other => {
            let hint = suggest::hint(other, &VERBS);
            Err(Failure::usage(format!(
                "unknown verb `{other}`{hint}; verbs: {}",
                VERBS.join(", ")
            )))
        }
    }
}

/// Thousands of connections need more descriptors than the usual soft limit of 1024.
fn raise_descriptor_limit() {
    use rustix::process::{getrlimit, setrlimit, Resource};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A system that refuses leaves the old limit; running out of it is reported where it happens.
    let _ = setrlimit(Resource::Nofile, limit);
}
