#!/bin/sh
# Builds the OpenTelemetry Collector for `make test-real` from its Go modules.
#
# It prevents an exporter that only our own decoder understands. The modules are pinned in
# tests/real/collector/go.sum; the program is built into .venv/collector, once per pin. Without Go
# nothing is built, and the test that needs it is skipped with a reason.
set -eu

source=$PWD/tests/real/collector
program=$PWD/.venv/collector/collector

newer() {
    [ "$program" -nt "$source/$1" ]
}
if [ -x "$program" ] && newer go.sum && newer main.go; then
    exit 0
fi
if ! command -v go >/dev/null 2>&1; then
    echo "collector: no Go to build it with; apt install golang" >&2
    exit 0
fi
echo "environment: the OpenTelemetry Collector, built into .venv/collector (some minutes)"
mkdir -p "${program%/*}"
if ! (cd "$source" && go build -trimpath -ldflags "-s -w" -o "$program" .); then
    echo "collector: it was not built; its test is skipped" >&2
fi
