//! Random shapes and documents against the reference, and random and mutated bytes against
//! serde_json. Everything is drawn from one seed, which proptest prints where a case fails.

use fastrand::Rng;
use proptest::prelude::{any, prop_assert_eq, proptest, ProptestConfig};
use proptest::test_runner::TestCaseError;
use serde_json::Value;
use tailrace_blueprint::{Extra, Shape};
use tailrace_plane::splice::{Mismatch, MismatchCode, Shapes};

use super::generate::{anything, document, mutate, shape, write};
use super::reference::projected;

proptest! {
    // A failure prints its seed; a file of old seeds would grow without telling anyone why.
    #![proptest_config(ProptestConfig {
        cases: 4_000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn projection_equals_the_reference(seed in any::<u64>()) {
        let mut rng = Rng::with_seed(seed);
        let mut shapes = vec![Shape::Any {}];
        let root = shape(&mut rng, &mut shapes, 3);
        let compiled = Shapes::compile(&shapes, 64)
            .map_err(|problem| TestCaseError::fail(problem.to_string()))?;
        for _ in 0..4 {
            let mut body = String::new();
            let value = document(&mut rng, &shapes, root);
            write(&mut rng, &value, &mut body);
            let mut out = Vec::new();
            let result = compiled.project(root, body.as_bytes(), &mut out);
            let expected = projected(&shapes, root, &value).map(|value| value.to_string());
            let got = result.as_ref().ok().map(|()| {
                let value = serde_json::from_slice::<Value>(&out);
                value.map_or_else(|error| error.to_string(), |value| value.to_string())
            });
            prop_assert_eq!(got, expected, "{:?} for {} as {:?}", result, body, shapes);
        }
    }

    #[test]
    fn acceptance_equals_serde_json(seed in any::<u64>()) {
        let mut rng = Rng::with_seed(seed);
        let shapes = Shapes::compile(
            &[Shape::Any {}, Shape::Object { fields: Vec::new(), extra: Extra::Drop }], 64,
        ).map_err(|problem| TestCaseError::fail(problem.to_string()))?;
        let mut body = String::new();
        let value = anything(&mut rng, 3);
        write(&mut rng, &value, &mut body);
        let mut body = body.into_bytes();
        for round in 0..6 {
            if round > 0 {
                mutate(&mut rng, &mut body);
            }
            let mut out = Vec::new();
            let ours = shapes.project(0, &body, &mut out);
            if ours.is_ok() {
                prop_assert_eq!(&out, &body.trim_ascii());
            }
            agrees(&ours, &body)?;
            // The same bytes as the value of a dropped field (where `1,"y":2` is valid, too).
            let field = [&b"{\"x\":"[..], &body, b"}"].concat();
            agrees(&shapes.project(1, &field, &mut Vec::new()), &field)?;
        }
    }
}

/// Do we accept exactly what serde_json accepts? It keeps the last of two equal keys, which we
/// refuse, and refuses floats beyond 64 bits, which pass as bytes here.
fn agrees(ours: &Result<(), Mismatch>, body: &[u8]) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_slice::<Value>(body);
    let message = theirs
        .as_ref()
        .err()
        .map(ToString::to_string)
        .unwrap_or_default();
    let code = ours.as_ref().map_err(|mismatch| mismatch.code);
    let stricter = matches!(
        code,
        Err(MismatchCode::DuplicateKey | MismatchCode::NumberTooLong)
    );
    if !stricter && !message.starts_with("number out of") {
        prop_assert_eq!(
            ours.is_ok(),
            theirs.is_ok(),
            "{:?} {} {:?}",
            ours,
            message,
            body
        );
    }
    Ok(())
}

#[test]
fn the_generator_reaches_both_answers() {
    let (mut accepted, mut changed, mut all) = (0, 0, 0);
    for seed in 0..1_000 {
        let mut rng = Rng::with_seed(seed);
        let mut shapes = vec![Shape::Any {}];
        let root = shape(&mut rng, &mut shapes, 3);
        let value = document(&mut rng, &shapes, root);
        let kept = projected(&shapes, root, &value);
        all += 1;
        accepted += usize::from(kept.is_some());
        changed += usize::from(kept.is_some_and(|kept| kept != value));
    }
    assert!(
        accepted * 4 > all && accepted * 10 < all * 9,
        "{accepted} of {all} accepted"
    );
    assert!(
        changed * 20 > all,
        "{changed} of {all} changed by the projection"
    );
}
