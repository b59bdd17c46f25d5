#!/bin/sh
# Builds the Grafana server for `make test-real` from its Go module.
#
# It prevents dashboards that no Grafana has ever read. The module replaces some of what it needs,
# which Go honours in the main module only: it is built in a copy, and its start-up code, which
# Grafana generates, is generated there. The server and the files it reads are left in
# .venv/grafana, once per pin; its front end is not built, for the test speaks to the API. Without
# Go or a C compiler (SQLite is C) nothing is built, and the test that needs it is skipped with a
# reason.
set -eu

# Grafana 10.0, a commit of June 2023: its releases are no versions of the module.
version=v1.9.2-0.20230609164553-81d85ce8028d
release=10.0.0
module=github.com/grafana/grafana
wire=github.com/google/wire/cmd/wire@v0.7.0
folder=$PWD/.venv/grafana
source=$folder/source

not_built() {
    echo "grafana: $1; its test is skipped" >&2
    rm -rf "$source"
    exit 0
}
if [ -x "$folder/grafana" ] && [ "$(cat "$folder/version" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
command -v go >/dev/null 2>&1 || not_built "no Go to build it with (apt install golang)"
command -v "${CC:-cc}" >/dev/null 2>&1 || not_built "no C compiler (apt install build-essential)"
echo "environment: $module $version, built into .venv/grafana (some minutes)"
rm -rf "$folder"
mkdir -p "$folder"
# Asked from the root of files, where no go.mod is; the answer is JSON.
told=$(cd / && go mod download -json "$module@$version") || not_built "the module was not had"
cached=$(echo "$told" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
cp -R "$cached" "$source"
chmod -R u+w "$source"
(cd "$source" && go run "$wire" gen -tags oss ./pkg/server) 2>"$folder/build.log" ||
    not_built "its start-up code was not generated: see .venv/grafana/build.log"
(cd "$source" && CGO_ENABLED=1 go build -trimpath -buildvcs=false -tags oss \
    -ldflags "-s -w -X main.version=$release" -o "$folder/grafana" ./pkg/cmd/grafana) \
    2>"$folder/build.log" || not_built "it was not built: see .venv/grafana/build.log"
mv "$source/conf" "$source/public" "$folder"
# Where the front end would be: without the folder each start is an error in the log.
mkdir -p "$folder/public/build"
rm -rf "$source" "$folder/build.log"
echo "$version" >"$folder/version"
