//! Stopping cleanly. A lab killed in the middle of a run leaves no summary; here an interrupt, a
//! termination signal and the admin port all end in the same place, which every verb waits on.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::Notify;

/// Why a run ended before its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Interrupted,
    Terminated,
    Asked,
}

/// Shared by everything that runs in one lab; cheap to clone.
#[derive(Clone, Default)]
pub struct Stop(Rc<Inner>);

#[derive(Default)]
struct Inner {
    reason: Cell<Option<Reason>>,
    notify: Notify,
}

impl Stop {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn trigger(&self, reason: Reason) {
        if self.0.reason.get().is_none() {
            self.0.reason.set(Some(reason));
        }
        self.0.notify.notify_waiters();
    }

    pub fn reason(&self) -> Option<Reason> {
        self.0.reason.get()
    }

    pub async fn wait(&self) -> Reason {
        loop {
            // Registered before the look: one runtime thread, so nothing comes between.
            let notified = self.0.notify.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            notified.await;
        }
    }

    /// Turns SIGINT and SIGTERM into a stop for as long as the runtime lives.
    pub(crate) fn listen(&self) -> io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = self.clone();
        tokio::task::spawn_local(async move {
            tokio::select! {
                _ = interrupt.recv() => stop.trigger(Reason::Interrupted),
                _ = terminate.recv() => stop.trigger(Reason::Terminated),
            }
        });
        Ok(())
    }
}
