use super::{place, start, Rows, OFF};
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

#[derive(Default)]
struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_is_due_is_woken_once_and_the_next_is_told() {
    let mut rows = Rows::default();
    let counted: Vec<_> = (0..3).map(|_| Arc::<Counted>::default()).collect();
    for (due, counted) in [30, 10, 20].into_iter().zip(&counted) {
        let index = rows.take();
        rows.all[index].due = due;
        rows.all[index].waker = Some(Waker::from(Arc::clone(counted)));
    }
    let ring = |rows: &mut Rows, now| {
        let mut woken = Vec::new();
        let next = rows.ring(now, &mut woken);
        woken.into_iter().for_each(Waker::wake);
        next
    };
    assert_eq!(ring(&mut rows, 9), 10);
    assert_eq!(ring(&mut rows, 20), 30);
    assert_eq!(ring(&mut rows, 25), 30);
    let rung = |at: usize| counted[at].0.load(Ordering::Relaxed);
    assert_eq!([rung(0), rung(1), rung(2)], [0, 1, 1]);
    // Whoever has given its place back is not woken, and the place serves again.
    assert!(rows.give(0).is_some());
    assert_eq!(ring(&mut rows, 1_000), OFF);
    assert_eq!((rows.take(), rows.all.len()), (0, 3));
    assert_eq!([rung(0), rung(1), rung(2)], [0, 1, 1]);
}

// req 4.5: never early, whatever was asked for before; and what was stopped stays silent.
#[test]
fn it_rings_at_the_time_asked_for_and_not_for_who_has_stopped() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let (here, alarms) = start().unwrap();
        tokio::task::spawn_local(alarms.unwrap().ring());
        let mut waiting = place().unwrap();
        let stopped = Arc::<Counted>::default();
        let mut other = place().unwrap();
        let silent = Waker::from(Arc::clone(&stopped));
        let soon = super::super::now() + 1;
        assert!(other.poll_until(soon, &silent).is_pending());
        drop(other);
        for after_ms in [20, 3, 30, 0] {
            let next = super::super::now() + after_ms * super::super::MILLI;
            // Asked for later first, then earlier: the earlier time counts.
            poll_fn(|cx| {
                assert!(waiting
                    .poll_until(next + 5_000_000_000, cx.waker())
                    .is_pending());
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| waiting.poll_until(next, cx.waker())).await;
            assert!(super::super::now() >= next, "{after_ms} ms: early");
        }
        assert_eq!(stopped.0.load(Ordering::Relaxed), 0);
        drop(here);
        assert!(place().is_none());
    });
}
