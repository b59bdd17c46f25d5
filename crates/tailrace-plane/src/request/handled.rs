//! A request that a Python handler answers: from its parameters to its reply.
//!
//! It is refused, logged and counted like a view's. Its body is what the handler returned, without
//! an envelope; what is missing stands in `Tailrace-Degraded` only (docs/concepts/handlers.md).

use super::{frame, Exchange};
use crate::bridge::groups::{Bounds, Stale};
use crate::bridge::{End, Run};
use crate::json::Json;
use crate::program::Program;
use crate::reason::Reason;
use crate::reply::{self, Problem, Said};
use crate::worker::Worker;
use std::rc::Rc;
use std::task::{Context, Poll};
use tailrace_policy::deadline::Deadline;

impl Exchange {
    /// Hands the request to its handler.
    pub(super) fn begin_handler(
        &mut self,
        worker: &Rc<Worker>,
        view: usize,
        deadline: Deadline,
    ) -> Result<(), Problem> {
        let declared = &worker.program.views[view];
        let bounds = Bounds {
            deadline,
            fanout: declared.fanout,
            extra_attempts: declared.extra_attempts,
            weak_left_out: self.fan.left_out != 0,
            lines: std::mem::take(&mut self.fan.lines),
            id_line: self.fan.id_line.clone(),
            noted: true,
        };
        let bridge = worker.shared.bridge.as_ref().ok_or_else(busy)?;
        let mut values = std::mem::take(&mut self.fan.parameters);
        if declared.body.is_some() {
            let body = self.fan.values.pop().flatten();
            values.push(body.map(Json::into_bytes));
        }
        let begun = Run::begin(worker, bridge, view, values, &self.request_id, bounds);
        self.run = Some(Box::new(begun.map_err(|_| busy())?));
        self.fan.receipt.handler = true;
        Ok(())
    }

    /// Drives the handler's calls; ready when `reply` is complete.
    pub(super) fn poll_handler(
        &mut self,
        worker: &Rc<Worker>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(run) = &mut self.run else {
            return Poll::Ready(());
        };
        let Poll::Ready(end) = run.poll(&mut self.fan.timer, context) else {
            return Poll::Pending;
        };
        let stale = run.take_stale();
        self.end_run();
        self.fan.receipt.done = worker.now.get();
        match end {
            Some(End::Reply { body, degraded }) => {
                let said = said(&worker.program, &degraded, &stale);
                self.reply_handler(worker, &body, &said);
            }
            Some(End::Failed { upstream, reason }) => {
                let problem = failed(reason, Some(upstream));
                self.refuse(worker, &problem);
            }
            Some(End::Crashed) => self.refuse(worker, &crashed()),
            Some(End::Cancelled) | None => self.refuse(worker, &late()),
        }
        Poll::Ready(())
    }

    /// Drops the handler's calls, and takes over what they cost.
    pub(super) fn end_run(&mut self) {
        if let Some(run) = self.run.take() {
            run.settle(&mut self.fan.receipt);
        }
    }

    fn reply_handler(&mut self, worker: &Worker, body: &[u8], degraded: &[Said<'_>]) {
        if let Err(reason) = self.fan.hold(body.len()) {
            return self.refuse(worker, &Problem::of(reason));
        }
        self.decide_keep_alive(worker);
        self.push_timing(worker);
        let frame = frame(
            &self.request_id,
            &self.head,
            self.keep_alive,
            &self.passed.lines,
        );
        reply::handled(worker, body, degraded, frame, &mut self.reply);
        if let (false, Some(view)) = (degraded.is_empty(), self.view) {
            worker.metrics.views[view].degraded.add(1);
            self.fan.receipt.degraded = true;
        }
        self.record(worker, 200, body.len(), "");
    }
}

/// The handler names its weak calls that failed; for what a kept answer stood in, strong calls too,
/// it does not know (req 8.3).
fn said<'a>(
    program: &'a Program,
    degraded: &'a [(String, Reason)],
    stale: &[Stale],
) -> Vec<Said<'a>> {
    let failed = degraded.iter().map(|(name, reason)| Said {
        name,
        reason: *reason,
        stale_s: None,
    });
    let mut said: Vec<Said<'a>> = failed.collect();
    for one in stale {
        let name = program.upstreams[one.upstream].name.as_str();
        if said.iter().all(|known| known.name != name) {
            said.push(Said {
                name,
                reason: one.reason,
                stale_s: Some(one.age_s),
            });
        }
    }
    said
}

/// As for a strong part: the same reason gives the same status, code and words.
fn failed(reason: Reason, upstream: Option<String>) -> Problem {
    Problem {
        part: upstream,
        ..Problem::of(reason)
    }
}

fn late() -> Problem {
    Problem {
        detail: "the handler did not answer within its deadline".to_owned(),
        ..failed(Reason::Deadline, None)
    }
}

fn crashed() -> Problem {
    Problem {
        status: 500,
        code: "handler_error",
        detail: "the handler of this request failed; its log has the reason".to_owned(),
        ..Problem::default()
    }
}

fn busy() -> Problem {
    Problem {
        status: 503,
        code: "handler_full",
        detail: "too many requests are in this handler".to_owned(),
        retry_after_s: Some(reply::retry_after_s()),
        ..Problem::default()
    }
}
