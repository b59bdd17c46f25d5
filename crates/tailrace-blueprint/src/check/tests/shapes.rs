//! Tables of broken shapes, and what null means for weak parts.

use super::{assert_each_names, paths_with};
use serde_json::json;

#[test]
fn shapes_are_checked() {
    let limits = "/shapes/4/limits";
    assert_each_names([
        (
            "/shapes/1/fields/0/shape",
            json!(99),
            "shapes[1].fields[0].shape",
        ),
        ("/shapes/3/variants/1", json!(99), "shapes[3].variants[1]"),
        ("/shapes/5/items", json!(99), "shapes[5].items"),
        ("/shapes/6/items/1", json!(99), "shapes[6].items[1]"),
        ("/shapes/7/values", json!(99), "shapes[7].values"),
        ("/shapes/8/inner", json!(99), "shapes[8].inner"),
        (
            "/shapes/9/variants/0",
            json!(["a", 99]),
            "shapes[9].variants[0][1]",
        ),
        ("/shapes/2/values/0", json!([]), "shapes[2].values[0]"),
        ("/shapes/2/values/0", json!({}), "shapes[2].values[0]"),
        ("/shapes/0/length_min", json!(10), "shapes[0].length_min"),
        ("/shapes/5/length_min", json!(10), "shapes[5].length_min"),
        (limits, json!({"ge": 3.0, "le": 2.0}), "shapes[4].limits"),
        (limits, json!({"ge": 3.0, "lt": 3.0}), "shapes[4].limits"),
        (limits, json!({"gt": 3.0, "le": 3.0}), "shapes[4].limits"),
        (limits, json!({"gt": 3.0, "lt": 3.0}), "shapes[4].limits"),
        (
            limits,
            json!({"multiple_of": 0.0}),
            "shapes[4].limits.multiple_of",
        ),
    ]);
    assert_eq!(
        paths_with(limits, json!({"ge": 3.0, "le": 3.0})),
        [""; 0],
        "one number is left"
    );
    // Shape 3 accepts null through this literal, on which the weak part of the sample relies.
    let found = paths_with("/shapes/2/values", json!([]));
    assert_eq!(found, ["shapes[2].values", "views[0].parts[0].shape"]);
}

#[test]
fn a_weak_part_may_fall_back_to_null_where_its_shape_says_so() {
    for shape in [
        json!({"kind": "any"}),
        json!({"kind": "null"}),
        json!({"kind": "optional", "inner": 0}),
        json!({"kind": "union", "variants": [3, 2]}),
    ] {
        assert_eq!(paths_with("/shapes/3", shape.clone()), [""; 0], "{shape}");
    }
    let itself = json!({"kind": "union", "variants": [3]});
    assert_eq!(
        paths_with("/shapes/3", itself),
        ["views[0].parts[0].shape"],
        "and it ends"
    );
}
