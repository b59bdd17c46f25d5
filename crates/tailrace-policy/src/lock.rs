//! A lock that nobody waits for: who does not get it goes on, because somebody does the work.
//!
//! The failure prevented is a worker that stands still for statistics. A holder that panicked
//! leaves numbers behind that the next window replaces, so poison is ignored.

use std::sync::{Mutex, MutexGuard, TryLockError};

pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(held) => Some(held),
        Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::try_lock;
    use std::sync::Mutex;

    #[test]
    fn a_held_lock_is_not_waited_for_and_a_poisoned_one_is_taken() {
        let mutex = Mutex::new(1);
        let held = try_lock(&mutex);
        assert!(held.is_some() && try_lock(&mutex).is_none());
        drop(held);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = mutex.lock();
            panic!("the holder's");
        }));
        assert!(panicked.is_err() && mutex.is_poisoned());
        assert_eq!(try_lock(&mutex).as_deref(), Some(&1));
    }
}
