#!/bin/sh
# Finds promtool and prometheus for `make test-real`, or builds them from their Go module.
#
# It prevents tests of rules that depend on what somebody once installed: what is on the path is
# taken, else the pinned version is built into .venv/prometheus, once. Without Go nothing is built,
# and the tests that need it are skipped with a reason.
set -eu

version=v0.316.0
module=github.com/prometheus/prometheus
folder=$PWD/.venv/prometheus

if command -v promtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1; then
    exit 0
fi
if [ -x "$folder/promtool" ] && [ -x "$folder/prometheus" ]; then
    exit 0
fi
if ! command -v go >/dev/null 2>&1; then
    echo "prometheus: neither on the path nor Go to build it; apt install prometheus" >&2
    exit 0
fi
echo "environment: $module $version, built into .venv/prometheus (some minutes)"
mkdir -p "$folder"
for program in promtool prometheus; do
    if ! GOBIN="$folder" GOFLAGS=-trimpath go install "$module/cmd/$program@$version"; then
        echo "prometheus: $program was not built; apt install prometheus" >&2
        exit 0
    fi
done
