//! Latency laws. A simulated upstream is useful only when its tail is known: each law is its
//! quantile function, so a draw is one uniform number put through it, the same seed gives the same
//! sequence, and a test can state any percentile exactly.
//!
//! Limits: draws are independent; queueing inside an upstream is not modelled. All laws are cut at
//! ten minutes.

use crate::suggest;
use serde_json::{json, Value};
use std::time::Duration;

const KINDS: [&str; 5] = [
    "constant_ms",
    "uniform_ms",
    "log_normal_ms",
    "pareto_ms",
    "recorded_ms",
];
const LONGEST_MS: f64 = 600_000.0;
const MOST_RECORDED: usize = 1_000_000;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Law {
    Constant(f64),
    Uniform {
        low: f64,
        high: f64,
    },
    LogNormal {
        median: f64,
        sigma: f64,
    },
    Pareto {
        scale: f64,
        shape: f64,
        max: f64,
    },
    /// Sorted; a draw picks one of the recorded values, each equally likely.
    Recorded(Vec<f64>),
}

impl Law {
    /// From `{"constant_ms": 5}` and its siblings; the error names what was expected.
    pub(crate) fn from_json(value: &Value) -> Result<Self, String> {
        let valid = KINDS.join(", ");
        let object = value.as_object().ok_or_else(|| {
            format!("a latency is an object such as {{\"constant_ms\": 5}}; valid kinds: {valid}")
        })?;
        let mut entries = object.iter();
        let (Some((kind, given)), None) = (entries.next(), entries.next()) else {
            return Err(format!("a latency names exactly one kind of: {valid}"));
        };
        match kind.as_str() {
            "constant_ms" => Ok(Self::Constant(milliseconds(given, "constant_ms")?)),
            "uniform_ms" => uniform(given),
            "log_normal_ms" => {
                let [median, sigma] = fields(given, "log_normal_ms", ["median", "sigma"])?;
                let median = milliseconds(median, "log_normal_ms.median")?;
                let sigma = between(sigma, "log_normal_ms.sigma", 0.0, 10.0)?;
                Ok(Self::LogNormal { median, sigma })
            }
            "pareto_ms" => {
                let names = ["scale", "shape", "max"];
                let [scale, shape, max] = fields(given, "pareto_ms", names)?;
                let scale = milliseconds(scale, "pareto_ms.scale")?;
                let shape = between(shape, "pareto_ms.shape", 0.01, 100.0)?;
                let max = milliseconds(max, "pareto_ms.max")?;
                if max < scale {
                    return Err("`pareto_ms.max` is at least `pareto_ms.scale`".to_owned());
                }
                Ok(Self::Pareto { scale, shape, max })
            }
            "recorded_ms" => recorded(given),
            other => {
                let hint = suggest::hint(other, &KINDS);
                Err(format!(
                    "unknown latency kind `{other}`{hint}; valid kinds: {valid}"
                ))
            }
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Constant(ms) => json!({ "constant_ms": ms }),
            Self::Uniform { low, high } => json!({ "uniform_ms": [low, high] }),
            Self::LogNormal { median, sigma } => {
                json!({ "log_normal_ms": { "median": median, "sigma": sigma } })
            }
            Self::Pareto { scale, shape, max } => {
                json!({ "pareto_ms": { "scale": scale, "shape": shape, "max": max } })
            }
            Self::Recorded(values) => json!({ "recorded_ms": values }),
        }
    }

    /// The latency that a share `u` of all requests stays under, in milliseconds; `u` in [0, 1).
    pub(crate) fn quantile_ms(&self, u: f64) -> f64 {
        let ms = match self {
            Self::Constant(ms) => *ms,
            Self::Uniform { low, high } => low + (high - low) * u,
            Self::LogNormal { median, sigma } => median * (sigma * normal_quantile(u)).exp(),
            Self::Pareto { scale, shape, max } => (scale * (1.0 - u).powf(-1.0 / shape)).min(*max),
            Self::Recorded(values) => {
                let index = (u * values.len() as f64) as usize;
                values.get(index).or(values.last()).copied().unwrap_or(0.0)
            }
        };
        ms.clamp(0.0, LONGEST_MS)
    }

    /// One draw; `u` is uniform in [0, 1).
    pub(crate) fn draw(&self, u: f64) -> Duration {
        Duration::from_nanos((self.quantile_ms(u) * 1e6) as u64)
    }
}

fn uniform(given: &Value) -> Result<Law, String> {
    let pair = given.as_array().filter(|pair| pair.len() == 2);
    let pair = pair.ok_or("`uniform_ms` is a pair such as [2, 9]")?;
    let low = milliseconds(&pair[0], "uniform_ms[0]")?;
    let high = milliseconds(&pair[1], "uniform_ms[1]")?;
    if high < low {
        return Err(format!(
            "`uniform_ms` goes from low to high, not {low} to {high}"
        ));
    }
    Ok(Law::Uniform { low, high })
}

fn recorded(given: &Value) -> Result<Law, String> {
    let list = given
        .as_array()
        .filter(|list| !list.is_empty() && list.len() <= MOST_RECORDED);
    let list = list.ok_or("`recorded_ms` is a list of 1 to 1000000 numbers")?;
    let mut values = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        values.push(milliseconds(value, &format!("recorded_ms[{index}]"))?);
    }
    values.sort_by(f64::total_cmp);
    Ok(Law::Recorded(values))
}

fn milliseconds(value: &Value, name: &str) -> Result<f64, String> {
    between(value, name, 0.0, LONGEST_MS)
}

pub(crate) fn between(value: &Value, name: &str, least: f64, most: f64) -> Result<f64, String> {
    match value.as_f64() {
        Some(number) if number >= least && number <= most => Ok(number),
        _ => Err(format!(
            "`{name}` is a number from {least} to {most}, not {value}"
        )),
    }
}

fn fields<'a, const N: usize>(
    given: &'a Value,
    kind: &str,
    names: [&str; N],
) -> Result<[&'a Value; N], String> {
    let object = given
        .as_object()
        .ok_or_else(|| format!("`{kind}` is an object with: {}", names.join(", ")))?;
    if let Some(unknown) = object.keys().find(|key| !names.contains(&key.as_str())) {
        let hint = suggest::hint(unknown, &names);
        return Err(format!(
            "`{kind}` has no `{unknown}`{hint}; it takes: {}",
            names.join(", ")
        ));
    }
    let mut found = [&Value::Null; N];
    for (slot, name) in found.iter_mut().zip(names) {
        *slot = object
            .get(name)
            .ok_or_else(|| format!("`{kind}` needs `{name}`"))?;
    }
    Ok(found)
}

/// Inverse of the standard normal distribution, Acklam's rational approximation (relative error
/// under 1.2e-9, far below what a timer can show).
#[allow(clippy::excessive_precision)]
fn normal_quantile(u: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_690e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    const LOW: f64 = 0.024_25;
    let horner = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, c| sum * x + c);
    let u = u.clamp(1e-12, 1.0 - 1e-12);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    };
    if u < LOW {
        tail(u)
    } else if u > 1.0 - LOW {
        -tail(1.0 - u)
    } else {
        let q = u - 0.5;
        let r = q * q;
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(text: &str) -> Result<Law, String> {
        Law::from_json(&serde_json::from_str(text).unwrap())
    }

    fn near(law: &Law, u: f64, ms: f64) {
        let got = law.quantile_ms(u);
        assert!(
            (got - ms).abs() < ms.abs() * 1e-6 + 1e-9,
            "{law:?} at {u}: {got}, not {ms}"
        );
    }

    #[test]
    fn each_law_has_the_quantiles_its_formula_states() {
        let constant = law(r#"{"constant_ms": 5}"#).unwrap();
        near(&constant, 0.0, 5.0);
        near(&constant, 0.999, 5.0);
        let uniform = law(r#"{"uniform_ms": [2, 9]}"#).unwrap();
        near(&uniform, 0.0, 2.0);
        near(&uniform, 0.5, 5.5);
        near(&uniform, 0.99, 8.93);
        // median * exp(sigma * z), with the z of the usual tables.
        let log_normal = law(r#"{"log_normal_ms": {"median": 5, "sigma": 0.4}}"#).unwrap();
        near(&log_normal, 0.5, 5.0);
        near(
            &log_normal,
            0.99,
            5.0 * (0.4 * 2.326_347_874_040_841_f64).exp(),
        );
        near(
            &log_normal,
            0.01,
            5.0 * (-0.4 * 2.326_347_874_040_841_f64).exp(),
        );
        near(
            &log_normal,
            0.999,
            5.0 * (0.4 * 3.090_232_306_167_813_f64).exp(),
        );
        near(
            &log_normal,
            0.9,
            5.0 * (0.4 * 1.281_551_565_544_600_4_f64).exp(),
        );
        // scale * (1 - u)^(-1/shape): 0.99 gives 3 * 100^0.4.
        let pareto = law(r#"{"pareto_ms": {"scale": 3, "shape": 2.5, "max": 2000}}"#).unwrap();
        near(&pareto, 0.0, 3.0);
        near(&pareto, 0.99, 3.0 * 100_f64.powf(0.4));
        near(
            &law(r#"{"pareto_ms": {"scale": 3, "shape": 0.1, "max": 20}}"#).unwrap(),
            0.9,
            20.0,
        );
        let recorded = law(r#"{"recorded_ms": [40, 10, 20, 30]}"#).unwrap();
        near(&recorded, 0.0, 10.0);
        near(&recorded, 0.25, 20.0);
        near(&recorded, 0.74, 30.0);
        near(&recorded, 0.999, 40.0);
    }

    #[test]
    fn draws_follow_the_law_and_repeat_with_the_seed() {
        let law = law(r#"{"log_normal_ms": {"median": 5, "sigma": 0.4}}"#).unwrap();
        let draw = |seed| -> Vec<Duration> {
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..20_000).map(|_| law.draw(rng.f64())).collect()
        };
        let (mut a, b) = (draw(7), draw(7));
        assert_eq!(a, b);
        assert_ne!(a[..100], draw(8)[..100]);
        a.sort();
        let p99 = a[19_800].as_secs_f64() * 1e3;
        // 5 * exp(0.4 * 2.3263) = 12.68; the standard error of this percentile is about 0.14.
        assert!((p99 - 12.68).abs() < 0.5, "{p99}");
    }

    #[test]
    fn a_wrong_law_is_refused_with_the_valid_ones() {
        let message = law(r#"{"constant": 5}"#).unwrap_err();
        assert!(message.contains("did you mean `constant_ms`?"), "{message}");
        assert!(message.contains("pareto_ms"), "{message}");
        assert!(law(r#"{"constant_ms": -1}"#)
            .unwrap_err()
            .contains("from 0 to 600000"));
        assert!(law(r#"{"uniform_ms": [9, 2]}"#)
            .unwrap_err()
            .contains("low to high"));
        assert!(law(r#"{"log_normal_ms": {"median": 5}}"#)
            .unwrap_err()
            .contains("`sigma`"));
        let message = law(r#"{"pareto_ms": {"scale": 1, "shap": 2, "max": 3}}"#).unwrap_err();
        assert!(message.contains("did you mean `shape`?"), "{message}");
        assert!(law(r#"{"recorded_ms": []}"#).is_err());
        assert!(law(r#"{"constant_ms": 1, "uniform_ms": [1, 2]}"#).is_err());
        assert!(law("5").is_err());
    }

    #[test]
    fn a_law_survives_its_json() {
        for text in [
            r#"{"constant_ms":5.0}"#,
            r#"{"uniform_ms":[2.0,9.0]}"#,
            r#"{"log_normal_ms":{"median":5.0,"sigma":0.4}}"#,
            r#"{"pareto_ms":{"scale":3.0,"shape":2.5,"max":2000.0}}"#,
            r#"{"recorded_ms":[1.0,2.0]}"#,
        ] {
            assert_eq!(law(text).unwrap().to_json().to_string(), text);
        }
    }
}
