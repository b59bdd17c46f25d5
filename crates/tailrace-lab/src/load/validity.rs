//! Whether a measurement measured the service or its own generator. A saturated generator reports
//! its own queue as the service's latency, and nothing in the percentiles shows it; so the verdict
//! is a rule over what the generator knows about itself, and an invalid run ends with exit code 4.

use std::time::Duration;

/// Above this share of one CPU the generator's own queueing is in the figures (ALGORITHMS 11).
const CPU_SHARE_MAX: f64 = 0.70;
/// Share of sends that were late although a connection was free.
const LATE_SHARE_MAX: f64 = 0.05;
/// From here on the generator's lateness reaches the 99th percentile: worth a word, not a verdict.
pub(crate) const LATE_SHARE_NOTE: f64 = 0.01;
/// A send this long after its intended start is late.
pub(crate) const LATE: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    pub(crate) sent: u64,
    /// Late with a free connection: the generator came too late by itself. A send that waited for a
    /// busy connection is the service's doing and counts as latency instead.
    pub(crate) late_own: u64,
}

impl Effort {
    pub(crate) fn cpu_share(&self) -> f64 {
        share(self.cpu.as_secs_f64(), self.wall.as_secs_f64())
    }

    pub(crate) fn late_share(&self) -> f64 {
        share(self.late_own as f64, self.sent as f64)
    }

    /// Why the generator was the limit; empty when it was not.
    pub(crate) fn limits(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.cpu_share() > CPU_SHARE_MAX {
            reasons.push(format!(
                "the generator used {:.0} % of its CPU (limit {:.0} %): lower --rate",
                self.cpu_share() * 100.0,
                CPU_SHARE_MAX * 100.0
            ));
        }
        if self.late_share() > LATE_SHARE_MAX {
            reasons.push(format!(
                "{:.1} % of the requests left more than 1 ms late with a connection free (limit \
                 {:.0} %): give the generator a CPU of its own",
                self.late_share() * 100.0,
                LATE_SHARE_MAX * 100.0
            ));
        }
        reasons
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        part / whole
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(cpu_ms: u64, sent: u64, late_own: u64) -> Effort {
        let wall = Duration::from_secs(10);
        Effort {
            cpu: Duration::from_millis(cpu_ms),
            wall,
            sent,
            late_own,
        }
    }

    #[test]
    fn the_verdict_follows_cpu_and_own_lateness() {
        for (effort, reasons) in [
            (effort(500, 20_000, 0), 0),
            (effort(7_000, 20_000, 0), 0),
            (effort(7_001, 20_000, 0), 1),
            (effort(500, 20_000, 1_000), 0),
            (effort(500, 20_000, 1_001), 1),
            (effort(9_000, 20_000, 9_000), 2),
            (effort(0, 0, 0), 0),
        ] {
            assert_eq!(effort.limits().len(), reasons, "{effort:?}");
        }
        assert!(effort(9_000, 1, 0).limits()[0].contains("90 % of its CPU (limit 70 %)"));
    }
}
