//! How much processor this process uses, of what it may have.
//!
//! The failure prevented is a service with half a processor that believes it is idle because its
//! machine is. What it may have is the smaller of the processors it may run on and its quota, which
//! may be a fraction (ALGORITHMS 10). A worker that is full counts even when the process as a whole
//! is not: its requests cannot go elsewhere.
//!
//! Limits: the quota is read when the plane starts. Where there are no control groups (macOS) only
//! the processors count.

use crate::clock;
use std::path::Path;
use std::thread;
use tailrace_policy::Nanos;

/// Processors this process may use, possibly a fraction of one.
pub fn usable() -> f64 {
    let cores = thread::available_parallelism().map_or(1, usize::from) as f64;
    let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    quota(&group, &read).map_or(cores, |quota| quota.min(cores))
}

/// The smallest quota of the process's control group and those above it.
fn quota(group: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<f64> {
    let root = Path::new("/sys/fs/cgroup");
    let own = group.lines().find_map(|line| line.strip_prefix("0::/"));
    let mut smallest: Option<f64> = None;
    let mut note = |found: Option<f64>| {
        if let Some(found) = found {
            smallest = Some(smallest.map_or(found, |known| known.min(found)));
        }
    };
    if let Some(own) = own {
        let path = root.join(own);
        let within = path.ancestors().take_while(|one| one.starts_with(root));
        within.for_each(|one| note(read(&one.join("cpu.max")).and_then(|text| parse(&text))));
    }
    // Version 1 has two files, and inside a container its group is the root.
    let number = |name: &str| {
        read(&root.join("cpu").join(name))?
            .trim()
            .parse::<f64>()
            .ok()
    };
    let share = |quota: f64, period: f64| (quota > 0.0 && period > 0.0).then(|| quota / period);
    note(
        number("cpu.cfs_quota_us")
            .zip(number("cpu.cfs_period_us"))
            .and_then(|(quota, period)| share(quota, period)),
    );
    smallest
}

/// `max 100000` is no quota; `50000 100000` is half a processor.
fn parse(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// Reads how much was used since it was last asked. Belongs to one thread.
#[derive(Debug)]
pub struct Usage {
    usable: f64,
    at: Nanos,
    thread: Nanos,
    process: Nanos,
}

impl Usage {
    pub fn new(usable: f64, now: Nanos) -> Self {
        Self {
            usable,
            at: now,
            thread: clock::thread_cpu(),
            process: clock::process_cpu(),
        }
    }

    /// The share used since the last time: of this thread or of the process, whichever is more.
    pub fn since(&mut self, now: Nanos) -> f64 {
        let before = std::mem::replace(self, Self::new(self.usable, now));
        let elapsed = now.saturating_sub(before.at).max(1) as f64;
        let thread = self.thread.saturating_sub(before.thread) as f64 / elapsed;
        let process = self.process.saturating_sub(before.process) as f64 / elapsed;
        thread.max(process / self.usable)
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, quota};
    use std::collections::HashMap;
    use std::path::Path;

    fn found(group: &str, files: &[(&str, &str)]) -> Option<f64> {
        let files: HashMap<_, _> = files.iter().copied().collect();
        let read = |path: &Path| Some((*files.get(path.to_str()?)?).to_owned());
        quota(group, &read)
    }

    #[test]
    fn the_tightest_quota_on_the_way_up_counts() {
        let files = [
            ("/sys/fs/cgroup/pods/one/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/pods/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/cpu.max", "400000 100000\n"),
        ];
        assert_eq!(found("1:name=x:/\n0::/pods/one\n", &files), Some(1.5));
        assert_eq!(found("0::/\n", &files), Some(4.0));
        assert_eq!(found("", &[]), None);
    }

    #[test]
    fn the_older_files_are_read_too() {
        let path = "/sys/fs/cgroup/cpu/cpu.cfs_";
        let (quota, period) = (format!("{path}quota_us"), format!("{path}period_us"));
        let files = [(quota.as_str(), "50000\n"), (period.as_str(), "100000\n")];
        assert_eq!(found("4:cpu:/x\n", &files), Some(0.5));
        let files = [(quota.as_str(), "-1\n"), (period.as_str(), "100000\n")];
        assert_eq!(found("4:cpu:/x\n", &files), None);
    }

    #[test]
    fn what_is_no_quota_is_none() {
        assert_eq!(parse("max 100000"), None);
        assert_eq!(parse("0 100000"), None);
        assert_eq!(parse("100000"), None);
        assert_eq!(parse("250000 100000\n"), Some(2.5));
    }
}
