//! Hash flooding, counted in key comparisons instead of time: keys chosen to collide in everything
//! that has no random seed (same length, same first eight bytes, same filter bit) cost linear steps
//! (RELIABILITY S17).

use tailrace_blueprint::{Extra, Shape};

use super::seen::{LIST_MAX, STEPS};
use super::Shapes;

/// Comparisons made while an object of `count` colliding keys passes.
fn steps(shape: Shape, count: usize) -> usize {
    let keys: Vec<String> = (0..count)
        .map(|n| format!("\"collides{n:08}\":0"))
        .collect();
    let body = format!("{{{}}}", keys.join(","));
    let shapes = Shapes::compile(&[shape, Shape::Any {}], 64).expect("compiles");
    STEPS.with(|steps| steps.set(0));
    shapes
        .project(0, body.as_bytes(), &mut Vec::new())
        .expect("the keys differ");
    STEPS.with(std::cell::Cell::get)
}

#[test]
fn colliding_keys_cost_linear_steps() {
    let any = || Shape::Any {};
    let dict = || Shape::Dict {
        values: 1,
        length_min: None,
        length_max: None,
    };
    let object = || Shape::Object {
        fields: Vec::new(),
        extra: Extra::Drop,
    };
    for shape in [any, dict, object] as [fn() -> Shape; 3] {
        let (half, full) = (steps(shape(), 5_000), steps(shape(), 10_000));
        // The list costs at most its square once; the seeded set costs a few comparisons per key.
        assert!(
            full <= LIST_MAX * LIST_MAX + 10_000,
            "{full} comparisons for 10 000 keys"
        );
        assert!(
            full <= 3 * half + LIST_MAX * LIST_MAX,
            "{half}, then {full}"
        );
        assert!(steps(shape(), LIST_MAX) > 0, "the count is alive");
    }
}
