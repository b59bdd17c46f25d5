//! `tailrace-lab load`: open-loop load. Requests start when the schedule says, whether or not
//! earlier ones have returned, and a latency runs from the intended start; so a stall of the
//! service is seen by every request that should have started during it.
//!
//! How: `schedule.rs` fixes the starts, `run.rs` sends, `connection.rs` reads, `tally.rs` counts,
//! `validity.rs` says when the generator itself was the limit, `report.rs` prints.
//!
//! Limits: HTTP/1.1 GET without TLS, one thread (about 30 000 requests/s), one address.

mod connection;
mod idle;
mod replies;
mod report;
mod run;
mod schedule;
mod tally;
mod target;
mod validity;

use crate::args::{self, Args, Opt, Parsed};
use crate::clock;
use crate::failure::{Failure, INVALID_RESULT, OK};
use crate::output::{say, Sink};
use crate::stop::{Reason, Stop};
use crate::ticker::Ticker;
use run::{Due, Run, Tallies};
use schedule::{parse_stages, Arrivals, Schedule, Stage};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tally::Lost;
use target::Target;
use tokio::task::{spawn_local, JoinSet};
use validity::Effort;

const OPTIONS: &[Opt] = &[
    ("--url", "URL", "http:// url; {id} is replaced per request"),
    ("--rate", "N", "requests per second (default: 100)"),
    ("--seconds", "S", "measured time (default: 10)"),
    (
        "--stages",
        "R:S,R:S",
        "rates and seconds in turn, instead of both",
    ),
    (
        "--warmup",
        "S",
        "first-stage load not measured (default: 2)",
    ),
    (
        "--arrivals",
        "poisson|constant",
        "spacing of starts (default: poisson)",
    ),
    (
        "--connections",
        "N",
        "keep-alive connections (default: 128)",
    ),
    ("--ids", "N", "ids are drawn from 1 to N (default: 1000)"),
    (
        "--id-prefix",
        "TEXT",
        "before the number of an id (default: o-)",
    ),
    ("--header", "'k: v'", "sent with every request; repeatable"),
    (
        "--timeout-ms",
        "MS",
        "from the intended start (default: 5000)",
    ),
    (
        "--within-ms",
        "MS",
        "what a `good` reply takes (default: timeout)",
    ),
    ("--interval", "S", "seconds between lines (default: 1)"),
    ("--seed", "N", "of starts and ids (default: 42)"),
    (
        "--histogram",
        "",
        "put the latency buckets into the summary",
    ),
    ("--fetch", "N", "print the first N reply bodies"),
    (
        "--idle-connections",
        "N",
        "no load: open N, ask once each, hold them",
    ),
    ("--hold-seconds", "S", "how long to hold them (default: 60)"),
];

pub(crate) fn help() -> String {
    args::help(
        "Open-loop load: latency from the intended start, JSON lines out.",
        &[
            "tailrace-lab load --url http://127.0.0.1:8080/api/orders/{id} --rate 2000",
            "tailrace-lab load --url ... --stages '500:10,4000:10,500:10'",
            "tailrace-lab load --url ... --idle-connections 5000 --hold-seconds 30",
        ],
        OPTIONS,
    )
}

pub(crate) struct Settings {
    pub(crate) stages: Vec<Stage>,
    pub(crate) warmup: Duration,
    pub(crate) arrivals: Arrivals,
    pub(crate) ids: u64,
    pub(crate) interval: Duration,
    pub(crate) seed: u64,
    pub(crate) histogram: bool,
    pub(crate) command: String,
}

pub(crate) async fn run(args: &[String], out: &Sink, stop: &Stop) -> Result<i32, Failure> {
    let command = format!("tailrace-lab load {}", args.join(" "));
    let args = match args::parse(args, OPTIONS)? {
        Parsed::Help => {
            say(&help());
            return Ok(OK);
        }
        Parsed::Args(args) => args,
    };
    let url = args
        .text("--url")
        .ok_or_else(|| Failure::usage("`--url` is missing"))?;
    let prefix = args.text("--id-prefix").unwrap_or("o-");
    let target = Target::new(url, prefix, &args.all("--header"))?;
    let timeout = Duration::from_millis(args.number("--timeout-ms", 5000, 1, 3_600_000)?);
    if args.has("--idle-connections") {
        let count = args.number("--idle-connections", 0, 1, 1_000_000)?;
        let hold = args.number("--hold-seconds", 60.0, 0.0, 86_400.0)?;
        let hold = Duration::from_secs_f64(hold);
        return idle::run(target, count, timeout, hold, out, stop).await;
    }
    let settings = settings(&args, command)?;
    let connections = args.number("--connections", 128, 1, 1_000_000)?;
    let fetch = args.number("--fetch", 0, 0, 100_000)?;
    let timeout_ms = timeout.as_millis() as u64;
    let within = Duration::from_millis(args.number("--within-ms", timeout_ms, 1, 3_600_000)?);
    let tallies = Tallies::new(settings.stages.len(), within).map_err(Failure::environment)?;
    let fastest = settings
        .stages
        .iter()
        .map(|stage| stage.rate)
        .fold(0.0, f64::max);
    // Everything that can be due within one timeout, and no more: older ones are given up anyway.
    let queue_max = (fastest * timeout.as_secs_f64() * 1.5) as usize + 1000;
    let run = Run::new(target, connections, timeout, queue_max, fetch, tallies);
    // Dropping the set ends the connections with the run.
    let _connections = open_all(&run, url).await?;
    measure(&run, &settings, out, stop).await
}

fn settings(args: &Args, command: String) -> Result<Settings, Failure> {
    let arrivals = match args.text("--arrivals") {
        None | Some("poisson") => Arrivals::Poisson,
        Some("constant") => Arrivals::Constant,
        Some(other) => {
            let message = format!("`--arrivals` is poisson or constant, not `{other}`");
            return Err(Failure::usage(message));
        }
    };
    let stages = match args.text("--stages") {
        Some(_) if args.has("--rate") || args.has("--seconds") => {
            return Err(Failure::usage(
                "give `--stages`, or `--rate` and `--seconds`, not both",
            ));
        }
        Some(text) => parse_stages(text).map_err(Failure::usage)?,
        None => vec![Stage {
            rate: args.number("--rate", 100.0, 0.01, 1e6)?,
            seconds: args.number("--seconds", 10.0, 0.01, 86_400.0)?,
        }],
    };
    let seconds = |name: &str, default: f64, least: f64| -> Result<Duration, Failure> {
        Ok(Duration::from_secs_f64(
            args.number(name, default, least, 86_400.0)?,
        ))
    };
    Ok(Settings {
        stages,
        warmup: seconds("--warmup", 2.0, 0.0)?,
        arrivals,
        ids: args.number("--ids", 1000, 1, u64::MAX)?,
        interval: seconds("--interval", 1.0, 0.01)?,
        seed: args.number("--seed", 42, 0, u64::MAX)?,
        histogram: args.has("--histogram"),
        command,
    })
}

/// All connections before the first request: connecting is not what is measured.
async fn open_all(run: &Rc<Run>, url: &str) -> Result<JoinSet<()>, Failure> {
    let mut all = JoinSet::new();
    for slot in 0..run.slots.len() {
        let halves = connection::connect(run).await.map_err(|error| {
            Failure::environment(format!("cannot connect to {url}: {error}; is it running?"))
        })?;
        all.spawn_local(connection::keep(Rc::clone(run), slot, halves));
    }
    // The readers must have put their connections among the idle ones before anything is due.
    tokio::task::yield_now().await;
    Ok(all)
}

async fn measure(
    run: &Rc<Run>,
    settings: &Settings,
    out: &Sink,
    stop: &Stop,
) -> Result<i32, Failure> {
    let start = clock::now();
    let upkeep = spawn_local(sweep(Rc::clone(run)));
    let mut effort = None;
    let printed = Cell::new(Duration::ZERO);
    tokio::select! {
        biased;
        _ = stop.wait() => {}
        sent = send_all(run, settings, start, &mut effort) => sent?,
        () = intervals(run, settings, start, &printed, out) => {}
    }
    // Without the mark the run was stopped within its warm-up.
    let (began, cpu_before) = effort.unwrap_or((clock::now(), clock::thread_cpu()));
    let cpu = clock::thread_cpu().saturating_sub(cpu_before);
    let wall = clock::now().saturating_duration_since(began);
    let interrupted = stop.reason();
    if interrupted.is_none() {
        drain(run).await;
        run.give_up(Lost::TimedOut);
    } else {
        run.give_up(Lost::Abandoned);
    }
    upkeep.abort();
    let last = clock::now().saturating_duration_since(start);
    if !run.interval.borrow().latency.is_empty() {
        let length = last.saturating_sub(printed.get());
        out(report::interval(run, last, length, last <= settings.warmup));
    }
    for body in run.fetched.borrow_mut().drain(..) {
        out(body);
    }
    let (sent, late_own) = {
        let total = run.total.borrow();
        (total.counts.sent, total.counts.late_own)
    };
    let effort = Effort {
        cpu,
        wall,
        sent,
        late_own,
    };
    let (line, limited) = report::summary(run, settings, effort, interrupted.is_some());
    out(line);
    Ok(match interrupted {
        Some(Reason::Interrupted) => 130,
        Some(Reason::Terminated) => 143,
        _ if limited => INVALID_RESULT,
        _ => OK,
    })
}

/// Sends what is due until the schedule ends; marks where measuring begins.
async fn send_all(
    run: &Run,
    settings: &Settings,
    start: Instant,
    effort: &mut Option<(Instant, Duration)>,
) -> Result<(), Failure> {
    let mut stages = settings.stages.clone();
    if let (Some(first), false) = (stages.first().copied(), settings.warmup.is_zero()) {
        stages.insert(
            0,
            Stage {
                seconds: settings.warmup.as_secs_f64(),
                ..first
            },
        );
    }
    let length: f64 = stages.iter().map(|stage| stage.seconds).sum();
    let ticker = Ticker::new()?;
    let mut ids = fastrand::Rng::with_seed(!settings.seed);
    let mut unpaused = 0;
    let first = usize::from(!settings.warmup.is_zero());
    let mut schedule = Schedule::new(stages, settings.arrivals, settings.seed);
    while let Some(offset) = schedule.next() {
        let intended = start + offset;
        let stage = schedule.stage().checked_sub(first);
        if stage.is_some() && effort.is_none() {
            ticker.until(start + settings.warmup).await?;
            *effort = Some((clock::now(), clock::thread_cpu()));
        }
        if clock::now() < intended {
            ticker.until(intended).await?;
            unpaused = 0;
        } else {
            // Behind the schedule: replies must still be read, or the backlog never shrinks.
            unpaused += 1;
            if unpaused % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
        run.due(Due {
            intended,
            id: ids.u64(1..=settings.ids),
            stage,
        });
    }
    ticker
        .until(start + Duration::from_secs_f64(length))
        .await?;
    Ok(())
}

/// Prints a line per interval; never ends.
async fn intervals(
    run: &Run,
    settings: &Settings,
    start: Instant,
    printed: &Cell<Duration>,
    out: &Sink,
) {
    for index in 1_u32.. {
        tokio::time::sleep_until((start + settings.interval * index).into()).await;
        let now = clock::now().saturating_duration_since(start);
        let length = now.saturating_sub(printed.replace(now));
        out(report::interval(run, now, length, now <= settings.warmup));
    }
}

async fn sweep(run: Rc<Run>) {
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        run.sweep(clock::now());
    }
}

/// Waits for what is under way; the sweep ends it after one timeout at the latest.
async fn drain(run: &Run) {
    let limit = run.timeout + Duration::from_millis(100);
    let settled = async {
        while run.pending.get() > 0 {
            run.settled.notified().await;
        }
    };
    // Whatever is left after the limit is given up by the caller.
    let _ = tokio::time::timeout(limit, settled).await;
}
