//! When each request is meant to start. The list is fixed by rate, law and seed before anything is
//! sent: a generator that waits for replies before it sends slows down with the system it measures
//! and hides exactly the delays it was built to find (coordinated omission).

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    Poisson,
    Constant,
}

/// A stretch of time with one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stage {
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
}

/// Offsets from the start of the run, ascending.
pub(crate) struct Schedule {
    stages: Vec<Stage>,
    arrivals: Arrivals,
    rng: fastrand::Rng,
    stage: usize,
    /// Where the current stage began, and the last arrival within it, in seconds.
    began: f64,
    within: f64,
    count: u64,
}

impl Schedule {
    pub(crate) fn new(stages: Vec<Stage>, arrivals: Arrivals, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self {
            stages,
            arrivals,
            rng,
            stage: 0,
            began: 0.0,
            within: 0.0,
            count: 0,
        }
    }

    /// Which stage the last start belongs to.
    pub(crate) fn stage(&self) -> usize {
        self.stage
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let stage = *self.stages.get(self.stage)?;
            let within = match self.arrivals {
                // From the index, not by adding: a sum of rounded gaps drifts.
                Arrivals::Constant => self.count as f64 / stage.rate,
                // The gaps of a Poisson process; 1 - u keeps the logarithm finite.
                Arrivals::Poisson => self.within - (1.0 - self.rng.f64()).ln() / stage.rate,
            };
            if within < stage.seconds {
                self.count += 1;
                self.within = within;
                return Some(Duration::from_secs_f64(self.began + within));
            }
            // The process has no memory, so a gap that crosses into the next stage starts anew.
            self.stage += 1;
            self.began += stage.seconds;
            self.within = 0.0;
            self.count = 0;
        }
    }
}

/// From `rate:seconds,rate:seconds`.
pub(crate) fn parse_stages(text: &str) -> Result<Vec<Stage>, String> {
    let wrong = |part: &str| format!("`--stages` is rate:seconds,rate:seconds, not `{part}`");
    text.split(',')
        .map(|part| {
            let (rate, seconds) = part.split_once(':').ok_or_else(|| wrong(part))?;
            let number = |text: &str, most: f64| {
                let value = text.trim().parse::<f64>().ok();
                value
                    .filter(|v| *v > 0.0 && *v <= most)
                    .ok_or_else(|| wrong(part))
            };
            Ok(Stage {
                rate: number(rate, 1e6)?,
                seconds: number(seconds, 86_400.0)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(stages: &[(f64, f64)], arrivals: Arrivals, seed: u64) -> Vec<f64> {
        let stages = stages
            .iter()
            .map(|&(rate, seconds)| Stage { rate, seconds })
            .collect();
        Schedule::new(stages, arrivals, seed)
            .map(|offset| offset.as_secs_f64())
            .collect()
    }

    #[test]
    fn constant_arrivals_are_at_index_over_rate() {
        let all = offsets(&[(2000.0, 10.0)], Arrivals::Constant, 1);
        assert_eq!(all.len(), 20_000);
        for (index, offset) in all.iter().enumerate() {
            assert!(
                (offset - index as f64 / 2000.0).abs() < 2e-9,
                "{index}: {offset}"
            );
        }
    }

    #[test]
    fn poisson_arrivals_are_the_cumulated_logarithms_of_the_seed() {
        let all = offsets(&[(2000.0, 10.0)], Arrivals::Poisson, 7);
        let mut rng = fastrand::Rng::with_seed(7);
        let mut sum = 0.0;
        for (index, offset) in all.iter().enumerate() {
            sum += -(1.0 - rng.f64()).ln() / 2000.0;
            assert!((offset - sum).abs() < 2e-9, "{index}: {offset}, not {sum}");
        }
        // The count has a standard deviation of the root of 20 000, 141.
        assert!((19_400..20_600).contains(&all.len()), "{}", all.len());
        // Gaps of a Poisson process: standard deviation equal to the mean.
        let gaps: Vec<f64> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05);
        assert_eq!(all, offsets(&[(2000.0, 10.0)], Arrivals::Poisson, 7));
    }

    #[test]
    fn stages_follow_each_other_with_their_own_rates() {
        let all = offsets(&[(100.0, 2.0), (1000.0, 1.0)], Arrivals::Constant, 1);
        assert_eq!(all.iter().filter(|offset| **offset < 2.0).count(), 200);
        assert_eq!(all.len(), 1200);
        assert!((all[200] - 2.0).abs() < 1e-9 && (all[201] - 2.001).abs() < 1e-9);
        let poisson = offsets(&[(100.0, 2.0), (1000.0, 1.0)], Arrivals::Poisson, 3);
        assert!(poisson.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(poisson.last().is_some_and(|last| *last < 3.0));
    }

    #[test]
    fn stages_are_read_strictly() {
        assert_eq!(
            parse_stages("500:10,2000:2.5").unwrap(),
            [
                Stage {
                    rate: 500.0,
                    seconds: 10.0
                },
                Stage {
                    rate: 2000.0,
                    seconds: 2.5
                }
            ]
        );
        for wrong in ["", "500", "500:", "0:1", "5:-1", "5:nan", "5:1,"] {
            assert!(parse_stages(wrong).is_err(), "{wrong}");
        }
    }
}
