//! What Python's side says of itself (`python/tailrace/_profile.py`).
//!
//! The failure prevented: an admin port that hangs with the interpreter. Python is asked as for a
//! change of the configuration, and waited for a bounded time; silence is an answer too, with its
//! reason.

use crate::live::{Ask, Wanted};
use crate::shared::Shared;
use serde_json::{json, Value};
use std::time::Duration;
use tokio::time::timeout;

/// Python answers between two of its own steps.
pub(super) const WAIT: Duration = Duration::from_secs(2);
/// Counting what was traced takes Python a while.
pub(super) const COUNT_WAIT: Duration = Duration::from_secs(20);

fn source() -> String {
    "admin POST /profile".to_owned()
}

/// What Python's side says, or why it does not.
pub(super) async fn ask(shared: &Shared, wish: &Value, patience: Duration) -> Value {
    let silent = |why: &str| json!({"answered": false, "why": why});
    let ask = Ask {
        source: source(),
        wanted: Wanted::Profile(wish.to_string().into_bytes()),
    };
    let Some(reply) = shared.live.asks.ask(ask) else {
        return silent("nobody answers for Python here");
    };
    match timeout(patience, reply).await {
        Ok(Ok(reply)) => serde_json::from_slice(&reply.body)
            .unwrap_or_else(|_| silent("what it said is no JSON")),
        Ok(Err(_)) => silent("the service ends"),
        Err(_) => silent(&format!(
            "Python did not answer within {} s: code that does not let go holds its interpreter \
             lock, or a change of the configuration is being made",
            patience.as_secs()
        )),
    }
}

/// Something that was begun in Python and must end there.
pub(super) struct Begun<'a> {
    shared: &'a Shared,
    cancel: Option<Value>,
}

/// Begins something in Python; `cancel` is told when nobody asks for its result. What Python says
/// when it does not begin: a begin that it took and answers too late is cancelled too.
pub(super) async fn begin<'a>(
    shared: &'a Shared,
    wish: &Value,
    cancel: Value,
) -> Result<Begun<'a>, Value> {
    let begun = Begun {
        shared,
        cancel: Some(cancel),
    };
    let said = ask(shared, wish, WAIT).await;
    if said["answered"] == true {
        Ok(begun)
    } else {
        Err(said)
    }
}

impl Begun<'_> {
    /// Ends it and gives what it found.
    pub async fn end(mut self, wish: &Value, patience: Duration) -> Value {
        self.cancel = None;
        ask(self.shared, wish, patience).await
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            self.shared.live.asks.tell(Ask {
                source: source(),
                wanted: Wanted::Profile(cancel.to_string().into_bytes()),
            });
        }
    }
}
