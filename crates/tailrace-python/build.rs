//! Tells the extension which cargo profile built it.
//!
//! `OUT_DIR` is `target/<profile>/build/...`; cargo's own `PROFILE` only says debug or release, and
//! a benchmark must know `ci` from `dist`.

fn main() {
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let parts: Vec<&str> = out.split('/').collect();
    let at = parts.iter().rposition(|part| *part == "build").unwrap_or(0);
    let profile = if at > 0 { parts[at - 1] } else { "unknown" };
    // A build that was shown which code is hot is another one to measure.
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let profiled = if flags.contains("profile-use") {
        ", profiled"
    } else {
        ""
    };
    println!("cargo:rustc-env=TAILRACE_PROFILE={profile}{profiled}");
    println!("cargo:rerun-if-changed=build.rs");
}
