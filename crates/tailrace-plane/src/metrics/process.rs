//! What `/metrics` says of the service and its process.

use super::text::{sum, Read};
use super::write::{Family, Labelled};
use crate::clock;
use crate::events;
use crate::shared::{Phase, Shared};
use std::sync::atomic::Ordering;

pub fn families(shared: &Shared) -> Vec<Family> {
    let workers = &shared.metrics;
    let one = |value: f64| vec![(vec![], value)];
    let count = |read: Read| vec![(vec![], sum(workers, 0, read))];
    let ready = f64::from(u8::from(shared.phase() == Phase::Running));
    let journal = shared.live.journal();
    let changes = [("ok", journal.ok), ("refused", journal.refused)];
    drop(journal);
    let changes = changes.map(|(result, count)| (vec![("result", result.to_owned())], count));
    let resolve = shared.resolve_failures.load(Ordering::Relaxed);
    let mut found = vec![
        Family::real(&events::READY, one(ready)),
        Family::real(&events::WORKERS, one(workers.len() as f64)),
        Family::real(&events::TASKS, one(shared.tasks() as f64)),
        Family::real(&events::CONFIG_REVISION, one(shared.live.revision() as f64)),
        Family::whole(&events::CONFIG_CHANGES, changes.to_vec()),
        Family::whole(
            &events::CONNECTIONS_ACCEPTED,
            count(|w, _| &w.connections_accepted),
        ),
        Family::whole(
            &events::CONNECTIONS_REFUSED,
            count(|w, _| &w.connections_refused),
        ),
        Family::real(&events::CONNECTIONS, one(f64::from(shared.connections()))),
        Family::whole(&events::RESOLVE_FAILURES, vec![(vec![], resolve)]),
        Family::real(&events::MEMORY_HELD, one(shared.memory.used() as f64)),
        Family::real(&events::MEMORY_MAX, one(shared.memory.max() as f64)),
        Family::whole(&events::BUFFER_POOL_HITS, count(|w, _| &w.buffer_hits)),
        Family::whole(&events::BUFFER_POOL_MISSES, count(|w, _| &w.buffer_misses)),
    ];
    found.extend(system(shared));
    found
}

/// What the system says of this process; what it does not say is left out.
fn system(shared: &Shared) -> Vec<Family> {
    let now = clock::epoch_ms();
    let uptime = now.saturating_sub(shared.started_epoch_ms) as f64 / 1e3;
    let mut found = vec![Family::real(
        &events::PROCESS_UPTIME,
        vec![(vec![], uptime)],
    )];
    let Some(stat) = Stat::read() else {
        return found;
    };
    let mode = |name: &str| vec![("cpu_mode", name.to_owned())];
    let cpu: Labelled<f64> = vec![(mode("user"), stat.user_s), (mode("system"), stat.system_s)];
    found.push(Family::real(&events::PROCESS_CPU, cpu));
    for (metric, value) in [
        (&events::PROCESS_MEMORY, stat.resident_bytes),
        (&events::PROCESS_THREADS, stat.threads),
        (&events::PROCESS_DESCRIPTORS, stat.descriptors),
    ] {
        found.push(Family::real(metric, vec![(vec![], value)]));
    }
    found
}

/// This process in `/proc`.
struct Stat {
    user_s: f64,
    system_s: f64,
    threads: f64,
    resident_bytes: f64,
    descriptors: f64,
}

/// `/proc` counts processor time in hundredths, whatever the kernel's own clock does.
const TICKS_PER_S: f64 = 100.0;

impl Stat {
    fn read() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name, which may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |index: usize| fields.get(index)?.parse::<f64>().ok();
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident: f64 = resident.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(Self {
            user_s: field(11)? / TICKS_PER_S,
            system_s: field(12)? / TICKS_PER_S,
            threads: field(17)?,
            resident_bytes: resident * 1024.0,
            descriptors: std::fs::read_dir("/proc/self/fd").ok()?.count() as f64,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Stat;

    #[test]
    fn the_process_is_found() {
        let stat = Stat::read().unwrap();
        assert!(stat.threads >= 1.0 && stat.threads < 10_000.0);
        assert!(stat.descriptors >= 3.0 && stat.descriptors < 100_000.0);
        assert!(stat.resident_bytes > 1e6 && stat.resident_bytes < 1e11);
        assert!(stat.user_s + stat.system_s < 1e6);
    }
}
