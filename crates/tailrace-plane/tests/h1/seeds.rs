//! The seed corpora of the fuzz targets, run as ordinary tests.

use std::path::Path;

use super::oracle;

fn run(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the seeds are in the repository") {
        let seed = std::fs::read(entry.expect("a readable entry").path()).expect("a readable seed");
        check(&seed);
        count += 1;
    }
    println!("{target}: {count} seeds");
    assert!(count >= 8, "{target}: only {count} seeds");
}

#[test]
fn request_head_seeds() {
    run("request_head", oracle::request);
}

#[test]
fn response_head_seeds() {
    run("response_head", oracle::response);
}

#[test]
fn body_seeds() {
    run("body", oracle::body);
}
