//! The executor against a reference interpreter: generated views, generated outcomes, the same
//! reply to the millisecond (RELIABILITY A02, req 8.1).
//!
//! `make test` plays 2 000 plans, each twice on one worker, so that what a request leaves behind
//! would be seen by the next; `TAILRACE_PLANS=100000` plays as many at night. A plan that differs
//! is made as small as it can be while it still differs, and printed with the command that plays it
//! again. What stands in for a part that failed, and that the reply names it, is part of the plan
//! (req 8.3). Asynchronous parts are not declared yet; when they are, `Part` gets a third strength,
//! and the reference one line: they never delay a reply.

mod plan;
mod reference;

use super::client::{Clients, End, Record, Reply};
use super::upstream::{Script, Traffic, Upstream};
use super::{receipts, seeds, world};
use crate::clock::MILLI;
use crate::shared::Phase;
use plan::{blueprint, Call, Outcome, Plan, LIVE};
use reference::{expect, Expected};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Plans that share a worker and run at the same time.
const BATCH: u64 = 25;

/// Calls that the upstream saw, by request id and part.
type Calls = Rc<RefCell<BTreeMap<(String, usize), u64>>>;

#[test]
fn the_executor_and_the_reference_agree() {
    let test = "simulation::model";
    let ties = RefCell::new(0);
    let plans = seeds::plans();
    seeds::each(test, plans.div_ceil(BATCH), |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let plans: Vec<Plan> = (0..BATCH).map(|_| Plan::generate(&mut random)).collect();
        let verdicts = play(&plans, seed);
        for (plan, verdict) in plans.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Same => {}
                Verdict::Tie => *ties.borrow_mut() += 1,
                Verdict::Differs(how) => report(plan, how, seed),
            }
        }
    });
    assert!(
        ties.take() * 50 <= plans.max(BATCH),
        "too many plans say nothing"
    );
}

enum Verdict {
    Same,
    /// Two things at the same time: the reference does not say which is first.
    Tie,
    Differs(String),
}

/// Plays each plan twice, all at the same time.
fn play(plans: &[Plan], seed: u64) -> Vec<Verdict> {
    let ended = world::within(seed, async {
        let shared = world::shared(&blueprint(plans), 1);
        let calls = Calls::default();
        let script = script(plans.to_vec(), Rc::clone(&calls));
        let traffic = Rc::new(Traffic::default());
        let (_, accepting) = Upstream::start(0, LIVE, None, script, &traffic);
        let workers = world::serve(&shared, seed);
        let clients = Clients::new(world::SERVICE);
        let requests: Vec<_> = (0..plans.len())
            .map(|view| {
                let clients = clients.clone();
                tokio::task::spawn_local(async move {
                    let (first, then) = (view as u64, (view + plans_max()) as u64);
                    let target = format!("/{view}");
                    let first = clients.get(first, &target, None).await;
                    (first, clients.get(then, &target, None).await)
                })
            })
            .collect();
        let mut ended = Vec::new();
        for request in requests {
            ended.push(request.await.unwrap());
        }
        clients.hang_up();
        shared.advance(Phase::Draining);
        for worker in workers {
            worker.await.unwrap();
        }
        accepting.abort();
        receipts::check(&shared);
        for record in ended.iter().flat_map(|(first, then)| [first, then]) {
            let told = receipts::durations(&shared, &format!("r{}", record.id));
            assert!(told.iter().all(|took| *took == record.took), "{told:?}");
        }
        (ended, calls.take())
    });
    let (ended, calls) = ended;
    let verdict = |(plan, (first, then)): (&Plan, (Record, Record))| {
        let expected = expect(plan);
        if expected.tie {
            return Verdict::Tie;
        }
        let compared = [first, then].iter().find_map(|record| {
            let sent = |part: usize| calls.get(&(format!("r{}", record.id), part)).copied();
            compare(plan, &expected, record, |part| sent(part).unwrap_or(0)).err()
        });
        compared.map_or(Verdict::Same, Verdict::Differs)
    };
    plans.iter().zip(ended).map(verdict).collect()
}

/// Ids of second requests start here.
fn plans_max() -> usize {
    BATCH as usize
}

/// The upstream of all plans: the request id says whose call it is.
fn script(plans: Vec<Plan>, calls: Calls) -> Script {
    Box::new(move |seen| {
        let id: usize = seen.request_id.trim_start_matches('r').parse().unwrap_or(0);
        let (part, answer) = plans[id % plans_max()].answer(seen);
        let key = (seen.request_id.clone(), part);
        *calls.borrow_mut().entry(key).or_default() += 1;
        answer
    })
}

fn compare(
    plan: &Plan,
    expected: &Expected,
    record: &Record,
    sent: impl Fn(usize) -> u64,
) -> Result<(), String> {
    let End::Answered(reply) = &record.end else {
        return Err(format!("{:?}", record.end));
    };
    let body: Value = serde_json::from_str(&reply.body).map_err(|error| error.to_string())?;
    same("time", &record.took, &(expected.at * MILLI))?;
    if expected.stops.is_empty() {
        complete(plan, expected, reply, &body)?;
    } else {
        let code = body["code"].as_str().unwrap_or_default();
        let named = |stop: &(usize, &str)| {
            body["part"] == format!("p{}", stop.0) && code == stop.1 && reply.status == status(code)
        };
        if !expected.stops.iter().any(named) {
            return Err(format!(
                "{:?} was to be the reason, not {body}",
                expected.stops
            ));
        }
    }
    for (part, times) in expected.sent.iter().enumerate() {
        // Calls that start in the moment that ends the request may be seen or not.
        let sure = |time: &&u64| expected.stops.is_empty() || **time < expected.at;
        let least = times.iter().filter(sure).count() as u64;
        if !(least..=times.len() as u64).contains(&sent(part)) {
            return Err(format!(
                "p{part}: {} calls, expected at {times:?}",
                sent(part)
            ));
        }
    }
    Ok(())
}

/// A 200: every part as expected, and exactly those that failed are named, with their reasons.
fn complete(plan: &Plan, expected: &Expected, reply: &Reply, body: &Value) -> Result<(), String> {
    same("status", &reply.status, &200)?;
    for index in 0..plan.parts.len() {
        let value = expected.values[index].clone().unwrap_or(Value::Null);
        same(&format!("p{index}"), &body[format!("p{index}")], &value)?;
    }
    let failed = expected.failed.iter().enumerate();
    let degraded: Vec<_> = failed
        .filter_map(|(index, reason)| {
            let reason = (*reason)?;
            // A list whose items failed is that list; any other failure leaves what another call
            // brought, or the default, and either is named (req 8.3).
            let served = match (expected.other[index], plan.parts[index].default) {
                (true, _) => ";served=other",
                (false, true) if reason != "items" => ";served=default",
                _ => "",
            };
            Some((format!("p{index}"), format!("{reason}{served}")))
        })
        .collect();
    let told: Vec<_> = reply
        .degraded()
        .iter()
        .map(|one| (one.0.to_owned(), one.1.to_owned()))
        .collect();
    if told != degraded {
        return Err(format!("degraded: {told:?}, expected {degraded:?}"));
    }
    let names: Value = degraded.iter().map(|one| one.0.as_str()).collect();
    same("list", &body["degraded"], &names)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, expected: &T) -> Result<(), String> {
    if is == expected {
        return Ok(());
    }
    Err(format!("{what}: {is:?}, expected {expected:?}"))
}

/// req 10.3.
fn status(code: &str) -> u16 {
    match code {
        "timeout" | "deadline" => 504,
        "not_found" => 404,
        "gone" => 410,
        _ => 502,
    }
}

/// Makes the plan smaller as long as it still differs, and fails with what is left.
fn report(mut plan: Plan, mut how: String, seed: u64) {
    let differs = |plan: &Plan| match play(std::slice::from_ref(plan), seed).pop() {
        Some(Verdict::Differs(how)) => Some(how),
        _ => None,
    };
    let next = |plan: &Plan| {
        let mut candidates = smaller(plan).into_iter();
        candidates.find_map(|one| Some((differs(&one)?, one)))
    };
    // One that only differs beside the others of its batch stays as it is.
    if differs(&plan).is_some() {
        while let Some((why, smaller)) = next(&plan) {
            (plan, how) = (smaller, why);
        }
    }
    let json = serde_json::to_string(&plan).unwrap_or_default();
    panic!("{how}\nexpected: {:?}\nplan: {json}", expect(&plan));
}

/// The plan with one thing less, in every way.
fn smaller(plan: &Plan) -> Vec<Plan> {
    let parts = 0..plan.parts.len();
    let without = parts.clone().filter_map(|index| without(plan, index));
    let simpler = parts.flat_map(|index| {
        let edit = |change: fn(&mut plan::Part)| {
            let mut plan = plan.clone();
            change(&mut plan.parts[index]);
            plan
        };
        let plain = |part: &mut plan::Part| {
            let call = Call {
                latency: 1,
                outcome: Outcome::Value(None),
            };
            part.calls.iter_mut().for_each(|one| *one = call.clone());
        };
        let changes = [
            edit(|part| part.reads.clear()),
            edit(|part| part.each = None),
            edit(|part| part.other = None),
            edit(|part| part.nullable = true),
            edit(|part| part.default &= !part.nullable),
            edit(plain),
        ];
        changes
            .into_iter()
            .filter(|one| format!("{one:?}") != format!("{plan:?}"))
    });
    without.chain(simpler).collect()
}

/// Without one part, when no other one needs it.
fn without(plan: &Plan, index: usize) -> Option<Plan> {
    let mut plan = plan.clone();
    plan.parts.remove(index);
    for part in &mut plan.parts {
        let each = part.each.iter_mut().map(|each| &mut each.of);
        for need in part.reads.iter_mut().chain(each) {
            match (*need).cmp(&index) {
                std::cmp::Ordering::Equal => return None,
                std::cmp::Ordering::Greater => *need -= 1,
                std::cmp::Ordering::Less => {}
            }
        }
    }
    (!plan.parts.is_empty()).then_some(plan)
}
