//! The end of every request: its receipt, metrics and the access log.

use super::Exchange;
use crate::access_log::{PartEnd, Record, ShortText, PARTS_SHOWN};
use crate::clock;
use crate::metrics::split::Replied;
use crate::metrics::MUTED;
use crate::receipt::turn::Alarm;
use crate::receipt::Turn;
use crate::worker::Worker;
use std::sync::Arc;
use std::task::{Context, Waker};
use tailrace_policy::Nanos;

impl Exchange {
    /// The end of every request: receipt, metrics and the access log, exactly once.
    pub(super) fn record(
        &mut self,
        worker: &Worker,
        status: u16,
        bytes: usize,
        code: &'static str,
    ) {
        let (now, epoch_ms) = (worker.tick(), clock::epoch_ms());
        // The receipt is handed over before the line is written.
        let trace = self.fan.receipt.trace.trace;
        let took = now.saturating_sub(self.started);
        worker.metrics.in_flight.sub(1);
        self.passed.clear();
        self.fan.timer.stop();
        self.settle(worker, (now, epoch_ms), (status, bytes, code));
        match self.view {
            Some(view) => &worker.metrics.views[view].durations,
            None => &worker.metrics.unmatched,
        }
        .record(self.head.method, Replied(status), took);
        if !worker.logs() {
            return;
        }
        let mut parts = [PartEnd::default(); PARTS_SHOWN];
        for (into, end) in parts.iter_mut().zip(&self.fan.ends) {
            *into = *end;
        }
        let path = if self.input.is_empty() {
            &[][..]
        } else {
            self.head.path.of(&self.input)
        };
        worker.log(Record {
            epoch_ms,
            duration_us: (took / 1_000) as u32,
            status,
            view: self.view.map_or(u16::MAX, |view| view as u16),
            method: self.head.method.as_str(),
            bytes: bytes as u32,
            request_id: ShortText::new(&self.request_id),
            trace,
            path: ShortText::new(path),
            code,
            parts,
            parts_shown: self.fan.ends.len().min(PARTS_SHOWN) as u8,
            python: self.python,
            client_gone: status == 499,
        });
    }

    /// Starts the receipt of a request that begins now.
    pub(super) fn open_receipt(&mut self, worker: &Worker) {
        let (number, sampled) = worker.count_request();
        let receipt = &mut self.fan.receipt;
        if MUTED {
            receipt.begin(number, worker.index, false, self.started);
            return;
        }
        receipt.begin(number, worker.index, sampled, self.started);
        receipt.traced = worker.shared.taps.is_traced();
        self.turn = Some(Turn::begin(worker, receipt, self.started));
        self.alarm = None;
    }

    /// A poll begins.
    pub(super) fn begin_turn(&mut self, worker: &Worker, now: Nanos) {
        if MUTED {
            return;
        }
        self.end_turn(worker, now);
        let receipt = &mut self.fan.receipt;
        if receipt.fanned == 0 {
            receipt.fanned = now;
        }
        self.turn = Some(Turn::begin(worker, receipt, now));
    }

    /// The poll under way ends, when there is one.
    pub(super) fn end_turn(&mut self, worker: &Worker, now: Nanos) {
        if let Some(turn) = self.turn.take() {
            turn.end(worker, &mut self.fan.receipt, now);
        }
    }

    /// For a sampled request: the waker that notes when it is woken.
    pub(super) fn listen(&mut self, context: &Context<'_>, now: Nanos) -> Option<Waker> {
        let delay = self.fan.receipt.delay.as_mut()?;
        let task = context.waker();
        let known = self.alarm.take().filter(|alarm| alarm.is_for(task));
        let alarm = known.unwrap_or_else(|| Alarm::new(task));
        if let Some(late) = alarm.take(now) {
            delay.total += late;
            delay.worst = delay.worst.max(late);
        }
        let waker = Waker::from(Arc::clone(&alarm));
        self.alarm = Some(alarm);
        Some(waker)
    }

    /// Finishes the receipt and hands it over (req 3.6).
    fn settle(&mut self, worker: &Worker, (now, epoch_ms): When, (status, bytes, code): End) {
        if MUTED {
            return;
        }
        self.end_turn(worker, now);
        self.fan.fill_receipt(worker);
        let receipt = &mut self.fan.receipt;
        receipt.view = self.view.map(|view| view as u16);
        receipt.status = status;
        receipt.code = code;
        receipt.method = self.head.method;
        receipt.bytes = bytes as u64;
        receipt.ended = now;
        if receipt.done == 0 {
            receipt.done = now;
        }
        // What was refused before its first call says nothing about calls, and may be a flood.
        if let (Some(view), true) = (self.view, receipt.fanned > 0) {
            receipt.epoch_ms = epoch_ms;
            receipt.set_id(&self.request_id);
            worker.metrics.views[view].measured.add(receipt);
            let finished = std::mem::take(&mut self.fan.receipt);
            self.fan.receipt = worker.keep_receipt(view, finished);
        }
    }
}

/// By the clock of this process, and in milliseconds since the epoch.
type When = (Nanos, u64);

/// Status, bytes of the body, code.
type End = (u16, usize, &'static str);
