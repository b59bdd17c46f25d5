//! Tells the extension which cargo profile built it.
//!
//! `OUT_DIR` is `target/<profile>/build/...`; cargo's own `PROFILE` only says debug or release, and
//! a benchmark must know `ci` from `dist`.

fn main() {
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let parts: Vec<&str> = out.split('/').collect();
    let at = parts.iter().rposition(|part| *part == "build").unwrap_or(0);
    let profile = if at > 0 { parts[at - 1] } else { "unknown" };
    println!("cargo:rustc-env=TAILRACE_PROFILE={profile}");
    println!("cargo:rerun-if-changed=build.rs");
}
