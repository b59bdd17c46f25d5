use super::*;
use proptest::prelude::*;

const MILLI: Nanos = 1_000_000;

fn repeated(groups: &[(u16, usize)]) -> Vec<u16> {
    let all = groups
        .iter()
        .flat_map(|(level, count)| vec![*level; *count]);
    all.collect()
}

/// The share of `levels` that lies below the threshold.
fn below(levels: &[u16], rate: f64) -> f64 {
    let found = threshold(levels, rate);
    let refused = levels.iter().filter(|level| **level < found.level).count();
    refused as f64 / levels.len() as f64
}

// ALGORITHMS 10.
#[test]
fn the_threshold_is_the_level_at_the_rank() {
    let coarse = repeated(&[(100, 300), (300, 700)]);
    assert_eq!(threshold(&coarse, 0.25).level, 100);
    assert!(
        below(&coarse, 0.25) <= 0.0,
        "the pitfall: nothing lies below"
    );
    assert_eq!(threshold(&coarse, 0.35).level, 300);
    let fine = repeated(&(0..100).map(|level| (level, 10)).collect::<Vec<_>>());
    assert_eq!(threshold(&fine, 0.25).level, 24);
    assert!((below(&fine, 0.25) - 0.24).abs() < 1e-9);
    assert_eq!(threshold(&[], 0.5).level, 0);
}

// What the pitfall above leaves out, chance adds: a quarter is a quarter.
#[test]
fn a_share_of_the_level_on_the_threshold_is_refused() {
    let coarse = repeated(&[(100, 300), (300, 700)]);
    let found = threshold(&coarse, 0.25);
    assert!((found.share - 250.0 / 300.0).abs() < 1e-9);
    let found = threshold(&coarse, 0.35);
    assert!((found.share - 50.0 / 700.0).abs() < 1e-9);
}

fn signals(admitted: u64, done: u64, delay: Nanos, cpu: f64) -> Signals {
    Signals {
        admitted,
        done,
        queue_delay: delay,
        cpu,
    }
}

#[test]
fn only_a_late_queue_or_a_full_processor_is_overload() {
    let params = Params::default();
    for (signals, expected) in [
        (signals(0, 0, 0, 0.0), -1.0),
        (signals(900, 3, 0, 0.0), -1.0),
        (signals(9, 9, 4 * MILLI, 0.1), -0.2),
        (signals(9, 9, 0, 0.475), -0.5),
        (signals(150, 100, 5 * MILLI, 1.0), 0.5),
        (signals(100, 100, 255 * MILLI, 0.2), 0.5),
        (signals(0, 100, 6 * MILLI, 1.0), -1.0 + 0.002),
        (signals(80, 100, 0, 0.969), 0.02),
        (signals(100, 0, u64::MAX, 1.0), 2.0),
        (signals(1, 0, 0, f64::NAN), -1.0),
    ] {
        let error = signals.error(&params, 0.0);
        assert!((error - expected).abs() < 1e-6, "{signals:?}: {error}");
    }
}

#[test]
fn nonsense_is_refused() {
    let sound = Params::default();
    assert_eq!(sound.check(), Ok(()));
    for (delay_target, cpu_target) in [(0, 0.9), (INTERVAL + 1, 0.9), (1, 0.0), (1, 1.1)] {
        let params = Params {
            delay_target,
            cpu_target,
        };
        assert!(params.check().is_err(), "{params:?}");
    }
}

#[test]
fn one_worker_in_half_a_second_looks_at_the_signals() {
    let shedder = Shedder::new(Params::default());
    let mut looks = 0;
    for now in 0..2_000 {
        shedder.tick(now * MILLI, || {
            looks += 1;
            signals(0, 0, 0, 0.0)
        });
    }
    assert_eq!(looks, 4);
}

#[test]
fn limits_may_change_in_use() {
    let shedder = Shedder::new(Params::default());
    let level = Level::new(Class::Sheddable, 0);
    let busy = || signals(20, 10, 0, 0.9);
    shedder.admit(level, 0).unwrap();
    shedder.tick(0, busy);
    assert!(shedder.rate() <= 0.0, "nine tenths are no overload");
    shedder.set(Params {
        cpu_target: 0.5,
        ..Params::default()
    });
    shedder.tick(INTERVAL, busy);
    assert!(shedder.rate() > 0.5, "{}", shedder.rate());
    assert_eq!(shedder.admit(level, 0), Err(Shed));
    shedder.clear();
    assert!(shedder.rate() <= 0.0);
    assert_eq!(shedder.admit(level, 0), Ok(()));
}

/// A process with one queue, which serves a thousand requests a second.
struct Service {
    shedder: Shedder,
    random: fastrand::Rng,
    now: Nanos,
    queued: std::collections::VecDeque<Nanos>,
    seen: Signals,
    /// By class.
    offered: [u32; 4],
    refused: [u32; 4],
    in_time: u32,
}

impl Service {
    fn new(seed: u64) -> Self {
        Self {
            shedder: Shedder::new(Params::default()),
            random: fastrand::Rng::with_seed(seed),
            now: 0,
            queued: std::collections::VecDeque::new(),
            seen: signals(0, 0, Nanos::MAX, 0.0),
            offered: [0; 4],
            refused: [0; 4],
            in_time: 0,
        }
    }

    fn arrive(&mut self, callers: u64) {
        let class = Class::ALL[self.random.usize(..4)];
        let caller = self
            .random
            .u64(..callers)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.offered[class as usize] += 1;
        let level = Level::of(class, caller, self.now);
        if self.shedder.admit(level, self.random.u64(..)).is_ok() {
            self.seen.admitted += 1;
            self.queued.push_back(self.now);
        } else {
            self.refused[class as usize] += 1;
        }
    }

    /// Runs for so many milliseconds with `load` arrivals in each, by chance.
    fn run(&mut self, millis: u64, load: f64, callers: u64) {
        for _ in 0..millis {
            self.now += MILLI;
            for _ in 0..20 {
                if self.random.f64() < load / 20.0 {
                    self.arrive(callers);
                }
            }
            // What is past its deadline is given up at no cost.
            let since = self.now.saturating_sub(300 * MILLI);
            while self.queued.front().is_some_and(|arrived| *arrived < since) {
                self.queued.pop_front();
                self.seen.done += 1;
            }
            if self.queued.pop_front().is_some() {
                self.seen.done += 1;
                self.seen.cpu += 1.0 / 500.0;
                self.in_time += 1;
            }
            let delay = self.queued.len() as u64 * MILLI;
            self.seen.queue_delay = self.seen.queue_delay.min(delay);
            let seen = self.seen;
            if self.shedder.tick(self.now, || seen).is_some() {
                self.seen = signals(0, 0, Nanos::MAX, 0.0);
            }
        }
    }
}

// RELIABILITY A06: a minute of two and of five times what can be served. Nine tenths of the peak is
// answered in time, the important first, and all is well within two seconds after.
#[test]
fn an_overload_is_survived_and_forgotten() {
    for (load, callers) in [(2.0, 10_000), (5.0, 10_000), (2.0, 1), (5.0, 1)] {
        let mut service = Service::new(7);
        service.run(60_000, load, callers);
        let goodput = f64::from(service.in_time) / 60_000.0;
        assert!(goodput >= 0.92, "{load} x{callers}: {goodput}");
        let share = |class: Class| {
            let of = class as usize;
            f64::from(service.refused[of]) / f64::from(service.offered[of])
        };
        let shares = Class::ALL.map(share);
        assert!(
            shares.is_sorted_by(|worse, better| worse >= better),
            "{shares:?}"
        );
        assert!(
            shares[3] < 0.5 && shares[0] > 0.8,
            "{load} x{callers}: {shares:?}"
        );
        service.run(2_000, 0.5, callers);
        let before: u32 = service.refused.iter().sum();
        service.run(5_000, 0.5, callers);
        assert_eq!(
            service.refused.iter().sum::<u32>(),
            before,
            "{load} x{callers}"
        );
        assert!(service.shedder.rate() <= 0.0);
    }
}

// Below and at its limit, where nothing waits, the processor alone is the sign: what it refuses is
// the twentieth above its target and no more.
#[test]
fn a_processor_above_its_target_costs_a_twentieth_at_most() {
    for load in [0.93, 0.97, 1.0] {
        let mut service = Service::new(11);
        service.run(120_000, load, 10_000);
        let refused: u32 = service.refused.iter().sum();
        let offered: u32 = service.offered.iter().sum();
        let share = f64::from(refused) / f64::from(offered);
        assert!(share <= 0.08, "{load}: {share} refused");
        let goodput = f64::from(service.in_time) / 120_000.0;
        assert!(goodput >= 0.92 * load, "{load}: {goodput}");
    }
}

#[test]
fn a_load_that_fits_is_never_refused() {
    let mut service = Service::new(3);
    service.run(60_000, 0.7, 100);
    assert_eq!(service.refused, [0; 4]);
}

proptest! {
    // With the share on the threshold exactly the rate is refused, whatever the levels are.
    #[test]
    fn threshold_and_share_make_the_rate(
        mut levels in prop::collection::vec(0_u16..128, 1..500), rate in 0.0_f64..0.95,
    ) {
        levels.sort_unstable();
        let found = threshold(&levels, rate);
        prop_assert!((0.0..=1.0).contains(&found.share));
        let count = |matches: &dyn Fn(u16) -> bool| {
            levels.iter().filter(|level| matches(**level)).count() as f64
        };
        let below = count(&|level| level < found.level);
        let refused = below + found.share * count(&|level| level == found.level);
        prop_assert!((refused - rate * levels.len() as f64).abs() < 1e-6);
    }
}
