//! From the parts to the fields that Python makes of them, between the fan-out and the reply.

use super::Exchange;
use crate::access_log::PythonTime;
use crate::bridge::Batch;
use crate::fanout::Stop;
use crate::reason::Reason;
use crate::worker::Worker;
use std::rc::Rc;
use std::task::{Context, Poll};

impl Exchange {
    /// Asks Python once for all fields; ready when they are there, or what their failure means.
    pub(super) fn poll_computed(
        &mut self,
        worker: &Rc<Worker>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Stop>> {
        if self.batch.is_none() {
            match self.begin_computed(worker) {
                Ok(batch) => self.batch = Some(Box::new(batch)),
                Err(reason) => return Poll::Ready(self.fan.land_computed(worker, Err(reason), 0)),
            }
        }
        let Some(batch) = &mut self.batch else {
            return Poll::Ready(Ok(()));
        };
        let Poll::Ready(made) = batch.poll(&mut self.fan.timer, context) else {
            return Poll::Pending;
        };
        let took = worker.now.get().saturating_sub(batch.began);
        self.end_batch(worker);
        let Some(made) = made else {
            return Poll::Ready(self.fan.land_computed(worker, Err(Reason::Deadline), took));
        };
        let waited = took.saturating_sub(made.python);
        self.python = PythonTime::new(made.python, waited, made.lock);
        if let Some(metrics) = &worker.metrics.views[self.fan.view].computed {
            metrics.python.record(made.python);
            metrics.wait.record(waited);
        }
        Poll::Ready(self.fan.land_computed(worker, Ok(made.results), took))
    }

    /// Asks for no fields any more, and takes over what they waited for.
    pub(super) fn end_batch(&mut self, worker: &Worker) {
        if let Some(batch) = self.batch.take() {
            batch.settle(worker.now.get(), &mut self.fan.receipt);
        }
    }

    fn begin_computed(&mut self, worker: &Rc<Worker>) -> Result<Batch, Reason> {
        let bridge = worker.shared.bridge.as_ref();
        let bridge = bridge.ok_or(Reason::ComputedFull)?;
        let cutoff = self.fan.computed_cutoff(worker);
        if worker.now.get() >= cutoff {
            return Err(Reason::Deadline);
        }
        let (view, values) = (self.fan.view, self.fan.readable());
        Batch::begin(worker, bridge, view, values, &self.request_id, cutoff)
            .map_err(|_| Reason::ComputedFull)
    }
}
