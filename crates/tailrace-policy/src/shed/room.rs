//! Room: how many requests a worker works on at once while its processor is the bottleneck.
//!
//! The failure prevented is a refusal that comes late. The share that is refused moves twice a
//! second and settles on a throughput; how long the ready queue is meanwhile, nobody says. On one
//! thread everybody waits for everything that is ready, so a request that is refused within
//! microseconds of work is told after tens of milliseconds of waiting. Room bounds the requests
//! inside by how long what is ready waits to run.
//!
//! While waits are too long, room is what was inside, cut in proportion to the excess; while they
//! are not, it grows, by more where there is much slack. The law is that of additive and
//! multiplicative control of a window by delay (as in TCP Vegas, Brakmo and Peterson 1995), with
//! one worker for the network.
//!
//! Limits: a wait is looked at forty times a second; the shorter of two counts, for a burst is no
//! overload. A request that is inside stays inside.

use super::level::Class;
use crate::Nanos;

/// Requests that are let in whatever the waits are.
pub const ROOM_MIN: f64 = 4.0;
/// Beyond it there is no limit.
pub const ROOM_MAX: f64 = 65_536.0;
/// The deepest cut at once, and the growth at once while waits are half of what they may be.
const CUT_MAX: f64 = 0.1;
const GROWTH: f64 = 1.1;

/// One worker's room.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    target: Nanos,
    limit: f64,
    before: Nanos,
}

impl Room {
    /// No limit yet; waits up to `target` are acceptable.
    pub fn new(target: Nanos) -> Self {
        Self {
            target: target.max(1),
            limit: ROOM_MAX,
            before: 0,
        }
    }

    /// Takes note of a wait, with so many requests inside.
    pub fn note(&mut self, wait: Nanos, inside: u64) {
        let shorter = wait.min(std::mem::replace(&mut self.before, wait));
        if shorter > self.target {
            let cut = self.target as f64 / shorter as f64;
            let held = self.limit.min(inside as f64);
            self.limit = (held * cut.max(CUT_MAX)).max(ROOM_MIN);
        } else if wait <= self.target / 2 {
            self.limit = (self.limit * GROWTH).min(ROOM_MAX);
        } else if inside as f64 >= 0.75 * self.limit {
            self.limit = (self.limit + 1.0).min(ROOM_MAX);
        }
    }

    /// What it is after such a note.
    pub fn after(mut self, wait: Nanos, inside: u64) -> Self {
        self.note(wait, inside);
        self
    }

    /// Whether one more request of this class may come in while so many are inside. What matters
    /// more finds room where others do not.
    pub fn has(&self, class: Class, inside: u64) -> bool {
        let share = match class {
            Class::Sheddable => 0.6,
            Class::SheddablePlus => 0.8,
            Class::Critical => 1.0,
            Class::CriticalPlus => 1.25,
        };
        self.limit >= ROOM_MAX || (inside as f64) < self.limit * share
    }

    /// Requests that may be inside; `None` while there is no limit.
    pub fn limit(&self) -> Option<u64> {
        (self.limit < ROOM_MAX).then_some(self.limit as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Room, ROOM_MIN};

    const MS: u64 = 1_000_000;

    fn room() -> Room {
        Room::new(2 * MS)
    }

    // req 9.1c: one long wait is a burst, two are overload.
    #[test]
    fn it_is_cut_in_proportion_after_two_long_waits() {
        let mut room = room();
        room.note(3 * MS, 90);
        assert_eq!(room.limit(), None);
        room.note(3 * MS, 90);
        assert_eq!(room.limit(), Some(60));
        room.note(2 * MS, 60);
        assert_eq!(
            room.limit(),
            Some(61),
            "full, and the wait is as long as it may be"
        );
        room.note(40 * MS, 61);
        room.note(40 * MS, 61);
        assert_eq!(
            room.limit(),
            Some(6),
            "never by more than nine tenths at once"
        );
    }

    #[test]
    fn it_grows_only_where_it_is_used_and_is_lifted_when_waits_are_short() {
        let mut room = room();
        for _ in 0..2 {
            room.note(4 * MS, 100);
        }
        assert_eq!(room.limit(), Some(50));
        room.note(3 * MS / 2, 10);
        assert_eq!(room.limit(), Some(50));
        room.note(3 * MS / 2, 40);
        assert_eq!(room.limit(), Some(51));
        for _ in 0..80 {
            room.note(MS / 10, 1);
        }
        assert_eq!(room.limit(), None, "short waits end it");
    }

    #[test]
    fn the_least_is_let_in_and_what_matters_more_finds_room() {
        let mut room = room();
        for _ in 0..60 {
            room.note(100 * MS, 3);
        }
        assert_eq!(room.limit(), Some(ROOM_MIN as u64));
        assert!(room.has(Class::Critical, 3) && !room.has(Class::Critical, 4));
        assert!(room.has(Class::CriticalPlus, 4) && !room.has(Class::SheddablePlus, 4));
        assert!(!room.has(Class::Sheddable, 3));
        assert!(Room::new(MS).has(Class::Sheddable, 1 << 40));
    }

    // Vegas' property: in a closed loop where each request inside adds its work to the wait, the
    // wait settles at the target, whatever it began with.
    #[test]
    fn the_wait_settles_at_the_target() {
        for (work, first) in [(MS / 10, 400_u64), (MS / 2, 30), (MS / 50, 3_000)] {
            let mut room = room();
            let mut inside = first;
            for _ in 0..200 {
                room.note(inside * work, inside);
                inside = room.limit().map_or(first, |limit| limit.min(first));
            }
            let wait = inside * work;
            let most = (2 * MS).max(ROOM_MIN as u64 * work) + 2 * work;
            assert!(wait > MS && wait <= most, "{wait} ns with {work} ns each");
        }
    }
}
