//! What one request says of itself to whoever dumps the tasks (req 12.2).

use super::Exchange;
use crate::profile::survey::{Request, Wait, Waiting};
use crate::worker::Worker;
use std::sync::Arc;

impl Exchange {
    /// Notes what the request waits for; called when a survey is on and the request goes on.
    pub(super) fn note_waits(&self, worker: &Worker) {
        let number = self.fan.receipt.number;
        worker.survey.note(number, || self.waits(worker));
    }

    fn waits(&self, worker: &Worker) -> Request {
        let view = self.view.unwrap_or_default();
        let mut noted = Request {
            program: Arc::clone(&worker.program),
            view,
            id: self.request_id.clone(),
            number: self.fan.receipt.number,
            started: self.started,
            deadline: self.fan.receipt.deadline,
            parts: 0,
            parts_done: 0,
            waits: Vec::new(),
            waits_left_out: 0,
        };
        if let Some(run) = &self.run {
            run.note_waits(&mut noted);
        } else if let Some(batch) = &self.batch {
            noted.parts = worker.program.views[view].parts.len();
            noted.parts_done = noted.parts;
            noted.push(Waiting {
                until: batch.cutoff(),
                ..Waiting::of(Wait::Computed, None, batch.began)
            });
        } else {
            self.fan.note_waits(&worker.program.views[view], &mut noted);
        }
        noted
    }
}
