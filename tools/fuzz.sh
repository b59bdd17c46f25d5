#!/bin/sh
# Runs every fuzz target for a while (`SECONDS_EACH`, 60 by default) from the committed seeds.
#
# New inputs and crashes land in the build folder: what is worth keeping is copied to fuzz/corpus by
# hand, with the fix. Needs a nightly compiler and cargo-fuzz; says so, with exit 3, when they lack.
set -eu

seconds=${SECONDS_EACH:-60}
work=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
cargo +nightly --version >/dev/null 2>&1 || {
    echo "make fuzz needs a nightly compiler: run: rustup toolchain install nightly" >&2
    exit 3
}
cargo fuzz --version >/dev/null 2>&1 || {
    echo "make fuzz needs cargo-fuzz: run: cargo install cargo-fuzz" >&2
    exit 3
}
for file in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$file" .rs)
    mkdir -p "$work/corpus/$name" "$work/artifacts/$name"
    echo "fuzz: $name for $seconds s"
    cargo +nightly fuzz run --fuzz-dir fuzz --target-dir "$work" "$name" \
        "$work/corpus/$name" "fuzz/corpus/$name" -- \
        -max_total_time="$seconds" -max_len=65536 -timeout=5 \
        -artifact_prefix="$work/artifacts/$name/"
done
