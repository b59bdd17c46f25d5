use super::{Bulkhead, BulkheadFull, Params, Permit, Waiter};
use crate::Nanos;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

const MILLI: Nanos = 1_000_000;
const FAR: Nanos = 1_000_000 * MILLI;

fn bulkhead(limit: u32, queue: u32) -> Arc<Bulkhead> {
    Bulkhead::new(Params {
        limit,
        queue,
        ..Params::default()
    })
}

fn poll(waiter: &mut Waiter, now: Nanos) -> Poll<Result<Permit, BulkheadFull>> {
    waiter.poll(now, Waker::noop())
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// req 4.4
#[test]
fn the_limit_holds_and_a_dropped_permit_frees_its_place() {
    let bulkhead = bulkhead(2, 0);
    let first = bulkhead.try_acquire().unwrap();
    let second = bulkhead.try_acquire().unwrap();
    assert!(bulkhead.try_acquire().is_none());
    assert_eq!(
        bulkhead.enqueue(0, FAR).unwrap_err(),
        BulkheadFull::QueueFull
    );
    drop(first);
    let third = bulkhead.try_acquire();
    assert!(third.is_some());
    drop((second, third));
    assert_eq!(bulkhead.in_flight(), 0);
}

#[test]
fn a_released_place_goes_to_the_waiter_before_any_newcomer_and_wakes_it() {
    let bulkhead = bulkhead(1, 4);
    let permit = bulkhead.try_acquire().unwrap();
    let mut waiter = bulkhead.enqueue(0, FAR).unwrap();
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    assert!(waiter.poll(0, &waker).is_pending());
    drop(permit);
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
    assert!(
        bulkhead.try_acquire().is_none(),
        "the place is the waiter's"
    );
    assert!(matches!(poll(&mut waiter, MILLI), Poll::Ready(Ok(_))));
}

#[test]
fn a_waiter_that_leaves_while_it_is_granted_hands_its_place_on() {
    let bulkhead = bulkhead(1, 4);
    let permit = bulkhead.try_acquire().unwrap();
    let leaving = bulkhead.enqueue(0, FAR).unwrap();
    let mut staying = bulkhead.enqueue(0, FAR).unwrap();
    assert!(poll(&mut staying, 0).is_pending());
    drop(permit);
    drop(leaving);
    assert!(matches!(poll(&mut staying, MILLI), Poll::Ready(Ok(_))));
    drop(staying);
    assert_eq!((bulkhead.in_flight(), bulkhead.queued()), (0, 0));
}

// ALGORITHMS 2: 30 queued, limit 10, service 20 ms: 62 ms. With 60 ms left the call is not queued.
#[test]
fn a_wait_that_cannot_end_in_time_is_refused_before_it_begins() {
    let bulkhead = bulkhead(10, 1000);
    let permits: Vec<_> = (0..10).map(|_| bulkhead.try_acquire().unwrap()).collect();
    permits[0].settle(20 * MILLI);
    let waiters: Vec<_> = (0..30).map(|_| bulkhead.enqueue(0, FAR).unwrap()).collect();
    assert_eq!(
        bulkhead.enqueue(0, 60 * MILLI).unwrap_err(),
        BulkheadFull::WontFit
    );
    assert!(bulkhead.enqueue(0, 83 * MILLI).is_ok());
    drop(waiters);
    assert_eq!(bulkhead.queued(), 0);
}

#[test]
fn the_newest_waiter_goes_first_when_the_queue_is_nearly_full() {
    let bulkhead = bulkhead(1, 10);
    let permit = bulkhead.try_acquire().unwrap();
    let mut waiters: Vec<_> = (0..9).map(|_| bulkhead.enqueue(0, FAR).unwrap()).collect();
    drop(permit);
    assert!(
        matches!(poll(&mut waiters[8], 1), Poll::Ready(Ok(_))),
        "9 of 10: newest first"
    );
    assert!(
        matches!(poll(&mut waiters[0], 1), Poll::Ready(Ok(_))),
        "8 of 10: oldest first"
    );
}

#[test]
fn standing_delay_is_shed() {
    let bulkhead = bulkhead(1, 100);
    let mut refused = 0;
    let mut permit = bulkhead.try_acquire();
    // Every call waits 50 ms, far above the target of 5 ms: after one interval most are shed.
    for turn in 0..40 {
        let enqueued = turn * 50 * MILLI;
        let mut waiter = bulkhead.enqueue(enqueued, FAR).unwrap();
        drop(permit.take());
        match poll(&mut waiter, enqueued + 50 * MILLI) {
            Poll::Ready(Ok(granted)) => permit = Some(granted),
            Poll::Ready(Err(error)) => {
                assert_eq!(error, BulkheadFull::Shed);
                refused += 1;
                permit = bulkhead.try_acquire();
            }
            Poll::Pending => panic!("the place was free"),
        }
    }
    assert!(refused >= 15, "{refused}");
}

#[test]
fn a_higher_limit_admits_waiters_at_once() {
    let bulkhead = bulkhead(1, 4);
    let _permit = bulkhead.try_acquire().unwrap();
    let mut waiter = bulkhead.enqueue(0, FAR).unwrap();
    assert!(poll(&mut waiter, 0).is_pending());
    bulkhead.adjust(2, 4);
    assert!(matches!(poll(&mut waiter, 0), Poll::Ready(Ok(_))));
}

// Live configuration: nobody who is in is put out, and the limit holds for who comes.
#[test]
fn a_lower_limit_admits_nobody_until_enough_have_left() {
    let bulkhead = bulkhead(3, 4);
    let mut permits: Vec<_> = (0..3).filter_map(|_| bulkhead.try_acquire()).collect();
    bulkhead.adjust(1, 1);
    let mut waiter = bulkhead.enqueue(0, FAR).unwrap();
    let refused = bulkhead.enqueue(0, FAR).err();
    assert_eq!(refused, Some(BulkheadFull::QueueFull));
    for left in [2, 1] {
        permits.pop();
        assert_eq!(bulkhead.in_flight(), left);
        assert!(poll(&mut waiter, 0).is_pending(), "{left} are in");
    }
    permits.pop();
    assert!(matches!(poll(&mut waiter, 0), Poll::Ready(Ok(_))));
    assert_eq!(bulkhead.in_flight(), 0);
}

// An adaptive limit moves below what is declared, whoever speaks last.
#[test]
fn the_lower_of_the_declared_and_the_adaptive_limit_holds() {
    let bulkhead = bulkhead(8, 4);
    bulkhead.set_limit(5);
    assert_eq!(bulkhead.limit(), 8, "no adaptive limit is declared");
    bulkhead.adapt(Some(5));
    assert_eq!(bulkhead.limit(), 5);
    bulkhead.adjust(3, 4);
    assert_eq!(bulkhead.limit(), 3);
    bulkhead.set_limit(6);
    assert_eq!(bulkhead.limit(), 3);
    bulkhead.adjust(20, 4);
    assert_eq!(bulkhead.limit(), 6);
    bulkhead.adapt(None);
    assert_eq!(bulkhead.limit(), 20);
}

// req 4.4: shared by all cores, never overshot.
#[test]
fn eight_threads_never_exceed_the_limit() {
    let bulkhead = bulkhead(3, 64);
    let inside = Arc::new(AtomicU32::new(0));
    let peak = Arc::new(AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (bulkhead, inside, peak) = (&bulkhead, &inside, &peak);
            scope.spawn(move || {
                for _ in 0..2_000 {
                    let permit = match bulkhead.try_acquire() {
                        Some(permit) => permit,
                        None => wait(bulkhead.enqueue(0, FAR).unwrap()),
                    };
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    peak.fetch_max(now, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });
    assert!(peak.load(Ordering::SeqCst) <= 3);
    assert_eq!(
        (bulkhead.in_flight(), bulkhead.queued()),
        (0, 0),
        "no lost wake-up, no leak"
    );
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Parks until the waiter is granted; a lost wake-up hangs the test.
fn wait(mut waiter: Waiter) -> Permit {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match waiter.poll(0, &waker) {
            Poll::Ready(granted) => return granted.unwrap(),
            Poll::Pending => std::thread::park(),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Acquire,
    Enqueue,
    Release(usize),
    Leave(usize),
    PollAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Acquire),
        3 => Just(Step::Enqueue),
        3 => (0_usize..8).prop_map(Step::Release),
        1 => (0_usize..8).prop_map(Step::Leave),
        2 => Just(Step::PollAll),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Against a reference of two counters: places taken by permits and granted waiters never
    /// exceed the limit, no place stays free while somebody waits, nothing leaks.
    #[test]
    fn places_are_conserved(limit in 1_u32..4, steps in steps()) {
        let bulkhead = bulkhead(limit, 16);
        let mut permits = VecDeque::new();
        let mut waiters: Vec<Waiter> = Vec::new();
        for step in steps {
            match step {
                Step::Acquire => permits.extend(bulkhead.try_acquire()),
                Step::Enqueue => waiters.extend(bulkhead.enqueue(0, FAR)),
                Step::Release(at) if !permits.is_empty() => {
                    let at = at % permits.len();
                    permits.remove(at);
                }
                Step::Leave(at) if !waiters.is_empty() => {
                    let at = at % waiters.len();
                    waiters.remove(at);
                }
                Step::PollAll => {
                    let mut kept = Vec::new();
                    for mut waiter in waiters.drain(..) {
                        match waiter.poll(0, Waker::noop()) {
                            Poll::Ready(Ok(permit)) => permits.push_back(permit),
                            Poll::Ready(Err(error)) => prop_assert!(false, "{error}"),
                            Poll::Pending => kept.push(waiter),
                        }
                    }
                    waiters = kept;
                }
                Step::Release(_) | Step::Leave(_) => {}
            }
            prop_assert!(bulkhead.in_flight() <= limit);
            prop_assert!(permits.len() <= bulkhead.in_flight() as usize);
            prop_assert!(bulkhead.queued() == 0 || bulkhead.in_flight() == limit);
        }
        drop((permits, waiters));
        prop_assert_eq!((bulkhead.in_flight(), bulkhead.queued()), (0, 0));
    }
}

// ALGORITHMS 2: asked at enqueue, and again when the wait is known.
#[test]
fn a_place_that_comes_too_late_is_handed_on() {
    let bulkhead = bulkhead(1, 4);
    let permit = bulkhead.try_acquire().unwrap();
    permit.settle(20 * MILLI);
    let mut late = bulkhead.enqueue(0, 100 * MILLI).unwrap();
    let mut next = bulkhead.enqueue(0, FAR).unwrap();
    drop(permit);
    // Granted in time, looked at with 19 ms left of a service of 20 ms.
    let answer = poll(&mut late, 81 * MILLI);
    assert!(matches!(answer, Poll::Ready(Err(BulkheadFull::WontFit))));
    assert!(matches!(poll(&mut next, 81 * MILLI), Poll::Ready(Ok(_))));
}

#[test]
fn a_call_without_time_left_does_not_queue() {
    let bulkhead = bulkhead(1, 4);
    let _permit = bulkhead.try_acquire().unwrap();
    for deadline in [0, 5] {
        let refused = bulkhead.enqueue(5, deadline).err();
        assert_eq!(refused, Some(BulkheadFull::WontFit));
    }
    assert!(bulkhead.enqueue(5, 6).is_ok());
}
