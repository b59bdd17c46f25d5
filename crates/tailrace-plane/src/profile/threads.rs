//! The threads of the plane: who they are, and what the system says of one.
//!
//! The failure prevented: a worker that hangs and is only missing from a dump. It is named, with
//! what the kernel says it does. Limits: Linux; elsewhere a thread has a name and nothing else.

use super::cpu::own_stack;
use serde_json::{json, Value};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

/// One thread that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub name: String,
    /// The system's number of it; 0 where there is none.
    pub id: u32,
    /// Lowest and one past the highest address of its stack; zeros where that is not known.
    pub stack: (usize, usize),
}

/// All threads that have said who they are.
#[derive(Debug, Default)]
pub struct Threads(Mutex<Vec<Known>>);

impl Threads {
    /// The calling thread says who it is, until what it gets is dropped.
    pub fn enrol(self: &Arc<Self>, name: &str) -> Enrolled {
        let id = own_id();
        let known = Known {
            name: name.to_owned(),
            id,
            stack: own_stack(),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(known.clone());
        Enrolled {
            threads: Arc::clone(self),
            known,
        }
    }

    pub fn all(&self) -> Vec<Known> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }

    pub fn named(&self, name: &str) -> Option<Known> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|known| known.name == name).cloned()
    }
}

/// What worker `index` is called.
pub fn worker(index: usize) -> String {
    format!("worker {index}")
}

/// Takes a thread off the list when it ends.
#[derive(Debug)]
pub struct Enrolled {
    threads: Arc<Threads>,
    known: Known,
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        let mut all = self
            .threads
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|known| *known == self.known) {
            all.swap_remove(at);
        }
    }
}

/// The system's number of this thread.
fn own_id() -> u32 {
    let link = fs::read_link("/proc/thread-self").unwrap_or_default();
    let name = link.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}

/// What the system says that a thread does: null where it says nothing.
pub fn state(known: &Known) -> Value {
    let read = |file: &str| {
        let path = format!("/proc/self/task/{}/{file}", known.id);
        let text = fs::read_to_string(path).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let status = read("status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    // Number of the system call it is in, or `running`.
    let call = read("syscall");
    let call = call.as_deref().and_then(|text| text.split(' ').next());
    json!({
        "thread": known.id,
        "state": field("State:"),
        "waits_in_kernel": read("wchan").filter(|text| text != "0"),
        "system_call": call,
        "switches_voluntary": field("voluntary_ctxt_switches:"),
        "switches_forced": field("nonvoluntary_ctxt_switches:"),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{state, Threads};
    use std::sync::Arc;

    #[test]
    fn a_thread_is_known_while_it_runs_and_the_system_says_what_it_does() {
        let threads = Arc::<Threads>::default();
        let own = threads.enrol("own");
        let other = Arc::clone(&threads);
        let joined = std::thread::spawn(move || {
            let enrolled = other.enrol("other");
            (enrolled.known.clone(), other.all().len())
        });
        let (gone, count) = joined.join().unwrap();
        assert_eq!(count, 2);
        assert_ne!(gone.id, own.known.id);
        assert_eq!(threads.all(), std::slice::from_ref(&own.known));
        assert_eq!(threads.named("other"), None);
        let told = state(&own.known);
        assert_eq!(told["thread"], own.known.id);
        assert!(told["state"].as_str().unwrap().starts_with('R'), "{told}");
    }
}
