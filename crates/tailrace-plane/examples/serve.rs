//! Serves a blueprint without Python: `cargo run -p tailrace-plane --example serve --
//! blueprint.json`.
//!
//! For profiling the plane alone; users run `tailrace serve`.

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: serve BLUEPRINT.json");
        return ExitCode::from(2);
    };
    let source = match std::fs::read(&path) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("error: {path}: {error}");
            return ExitCode::from(2);
        }
    };
    let blueprint = match tailrace_blueprint::Blueprint::from_json(&source) {
        Ok(blueprint) => blueprint,
        Err(problems) => {
            for problem in problems {
                eprintln!("error: {}: {}", problem.path, problem.message);
            }
            return ExitCode::from(2);
        }
    };
    match tailrace_plane::Plane::start(&blueprint, source, b"{}".to_vec()) {
        Ok(plane) => {
            println!(
                "http://{} admin http://{}",
                plane.address(),
                plane.admin_address()
            );
            while !plane.wait(Duration::from_secs(3600)) {}
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}
