//! The lane, under a clock and a processor that are made up.

use super::{Lane, TURN};
use crate::clock::made_up::work;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{spawn_local, yield_now, JoinHandle, LocalSet};

// req 9.1c: between two large bodies everything else runs.
#[tokio::test(start_paused = true)]
async fn one_goes_per_turn_in_order_and_others_run_in_between() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let lane = Rc::new(Lane::default());
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut tasks = Vec::new();
            for number in 0..4 {
                let (lane, seen) = (Rc::clone(&lane), Rc::clone(&seen));
                tasks.push(spawn_local(async move {
                    lane.turn().await;
                    seen.borrow_mut().push(number);
                }));
            }
            let other = Rc::clone(&seen);
            tasks.push(spawn_local(async move {
                for _ in 0..6 {
                    other.borrow_mut().push(-1);
                    yield_now().await;
                }
            }));
            for task in tasks {
                task.await.unwrap();
            }
        })
        .await;
    let seen = seen.borrow();
    let bodies: Vec<_> = seen.iter().copied().filter(|one| *one >= 0).collect();
    assert_eq!(bodies, [0, 1, 2, 3]);
    let together = seen.windows(2).any(|pair| pair[0] > 0 && pair[1] > 0);
    assert!(!together, "two in one turn: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_line_holds_nobody_up_and_waits_are_told_once() {
    let lane = Rc::new(Lane::default());
    let local = LocalSet::new();
    local
        .run_until(async {
            lane.turn().await;
            let second = lane.turn();
            let left = tokio::time::timeout(Duration::ZERO, lane.turn());
            let (second, left) = tokio::join!(second, left);
            let () = second;
            drop(left);
            yield_now().await;
            yield_now().await;
            lane.turn().await;
            lane.0.waited.set(7);
            assert_eq!(lane.take_waited(), 7);
            assert_eq!(lane.take_waited(), 0);
        })
        .await;
}

/// This much work each, one after the other, for those who stand in line at a long turn.
const STEP: u64 = TURN / 4;

fn now() -> u64 {
    crate::clock::thread_cpu() + TURN
}

/// So many who stand in line, each of whom costs a step when its turn comes.
fn crowd(lane: &Rc<Lane>, size: u64) -> Vec<JoinHandle<()>> {
    let one = |_| {
        let lane = Rc::clone(lane);
        spawn_local(async move {
            if lane.is_long(now()) {
                lane.share().await;
            }
            work(STEP);
        })
    };
    (0..size).map(one).collect()
}

// req 9.1c, RELIABILITY A06: however many were let in at once, who comes is looked at after one
// turn's work, and not after all of theirs.
#[tokio::test(start_paused = true)]
async fn a_newcomer_waits_for_a_turn_and_not_for_the_crowd() {
    const CROWD: u64 = 200;
    let lane = Rc::new(Lane::default());
    let local = LocalSet::new();
    local
        .run_until(async {
            let tasks = crowd(&lane, CROWD);
            // Who is refused: it costs nothing, and comes again and again.
            let (mut longest, mut ahead) = (0, Vec::new());
            while !tasks.iter().all(JoinHandle::is_finished) {
                let came = crate::clock::thread_cpu();
                yield_now().await;
                longest = longest.max(crate::clock::thread_cpu() - came);
                ahead.push(lane.ahead());
            }
            assert!(longest >= TURN, "a turn is used");
            assert!(longest <= TURN + STEP, "{longest} ns");
            let most = ahead.iter().max().copied().unwrap_or(0);
            assert!(
                most > (CROWD - 20) * STEP,
                "what is ahead is known: {most} ns"
            );
            assert!(most <= CROWD * STEP, "{most} ns");
            assert_eq!(lane.ahead(), 0);
        })
        .await;
    assert!(lane.take_waited() >= (CROWD - 8) * STEP, "the line says so");
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_long_by_its_work_and_not_by_the_clock() {
    let lane = Lane::default();
    let at = 1_000 * TURN;
    assert!(!lane.is_long(at), "it slept until now");
    work(TURN / 2);
    assert!(!lane.is_long(at + 50 * TURN), "the machine stalled");
    work(TURN / 2);
    assert!(lane.is_long(at + 60 * TURN));
    let local = LocalSet::new();
    local.run_until(lane.share()).await;
    assert!(!lane.is_long(at + 61 * TURN), "another turn has begun");
}

#[tokio::test(start_paused = true)]
async fn a_large_one_has_its_turn_for_itself() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let lane = Rc::new(Lane::default());
    work(TURN);
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut tasks = Vec::new();
            for large in [false, true, false, false] {
                let (lane, seen) = (Rc::clone(&lane), Rc::clone(&seen));
                tasks.push(spawn_local(async move {
                    if large {
                        lane.turn().await;
                    } else {
                        lane.share().await;
                    }
                    seen.borrow_mut()
                        .push(if large { "large" } else { "small" });
                }));
            }
            let other = Rc::clone(&seen);
            tasks.push(spawn_local(async move {
                for _ in 0..5 {
                    other.borrow_mut().push("turn");
                    yield_now().await;
                }
            }));
            for task in tasks {
                task.await.unwrap();
            }
        })
        .await;
    let seen = seen.borrow();
    let begun = seen.iter().position(|one| *one != "turn").unwrap();
    assert_eq!(
        seen[begun..begun + 5],
        ["small", "large", "turn", "small", "small"]
    );
}

// What is large says nothing about what is small: nobody is refused for a body that has gone.
#[tokio::test(start_paused = true)]
async fn what_stands_ahead_is_counted_by_kind() {
    let lane = Rc::new(Lane::default());
    let local = LocalSet::new();
    local
        .run_until(async {
            let stand = |large: bool, cost: u64| {
                let lane = Rc::clone(&lane);
                spawn_local(async move {
                    if large {
                        lane.turn().await;
                    } else {
                        lane.share().await;
                    }
                    work(cost);
                })
            };
            // Each kind once, so that its cost is known; the first large one finds no line.
            for (large, cost) in [(true, 0), (true, 8 * TURN), (false, STEP)] {
                stand(large, cost);
            }
            while lane.0.moving.get() || lane.0.small.cost.get() == 0 {
                yield_now().await;
            }
            let mut tasks: Vec<_> = (0..10).map(|_| stand(false, STEP)).collect();
            yield_now().await;
            let small = lane.ahead();
            assert!(small > 0 && small <= 10 * STEP, "{small} ns");
            tasks.push(stand(true, 8 * TURN));
            yield_now().await;
            assert!(lane.ahead() >= 8 * TURN, "{} ns", lane.ahead());
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(lane.ahead(), 0);
        })
        .await;
}
