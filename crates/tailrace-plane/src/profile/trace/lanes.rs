//! Where intervals lie so that none cuts another: one lane holds what does not overlap.

use tailrace_policy::Nanos;

/// Lanes of one worker's requests, which come in the order of their ends.
#[derive(Debug, Default)]
pub struct Lanes {
    ends: Vec<Nanos>,
    /// The most calls side by side under each lane.
    pub calls: Vec<usize>,
}

impl Lanes {
    /// The lane of a request; none when all are taken.
    pub fn take(&mut self, started: Nanos, ended: Nanos) -> Option<usize> {
        let lane = place(&mut self.ends, started, ended, super::LANES_MAX)?;
        self.calls.resize(self.ends.len(), 0);
        Some(lane)
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }
}

/// The first of at most `max` lanes whose last interval has ended by `started`.
pub fn place(ends: &mut Vec<Nanos>, started: Nanos, ended: Nanos, max: usize) -> Option<usize> {
    let free = ends.iter().position(|end| *end <= started);
    let lane = match free {
        Some(lane) => lane,
        None if ends.len() < max => {
            ends.push(0);
            ends.len() - 1
        }
        None => return None,
    };
    ends[lane] = ended;
    Some(lane)
}
