#!/bin/sh
# Brings .venv to one of the pinned sets, `run` or `dev`: plain venv and pip, or uv when present.
#
# Hash-pinned files only, so what is installed is what was reviewed. Called by make when a pin file
# is newer than its stamp, so that a warm run installs nothing and needs no network.
set -eu

set_name=$1
stamps=.venv/stamps
pins=requirements/$set_name.txt

# `dev` holds all of `run`: nothing to do when it is there and current.
if [ "$set_name" = run ] && [ -f $stamps/dev ] && [ $stamps/dev -nt requirements/dev.txt ]; then
    touch $stamps/run
    exit 0
fi

# An environment whose Python was removed or moved is made anew.
if ! .venv/bin/python -c '' 2>/dev/null; then
    python=$(sh tools/doctor.sh --python)
    echo "environment: .venv with $("$python" -V)"
    rm -rf .venv
    "$python" -m venv .venv
fi
mkdir -p $stamps
rm -f $stamps/run $stamps/dev

echo "environment: $pins"
if command -v uv >/dev/null 2>&1; then
    VIRTUAL_ENV=$PWD/.venv uv pip sync --quiet --require-hashes "$pins"
    # A sync removes what is not pinned, the built package too: it must be installed again.
    rm -f $stamps/built-*
else
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$pins"
fi
touch "$stamps/$set_name"
