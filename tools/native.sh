#!/bin/sh
# Builds the native module with one cargo profile into .venv and leaves the stamp that says so.
#
# It prevents a stale or foreign binary: the other profile's stamp goes before the build begins, so
# a build that fails leaves no stamp at all, and the next verb builds again.
set -eu

profile=$1
rm -f .venv/stamps/built-*
# The compiler says nothing meanwhile, and a reader of silence thinks that it hangs.
[ -d "${CARGO_TARGET_DIR:-target}/$profile" ] || first="; the first build takes some minutes"
echo "native module: cargo profile $profile${first:-}"
VIRTUAL_ENV=$PWD/.venv PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1 MATURIN_NO_INSTALL_RUST=1 \
    .venv/bin/maturin develop --quiet --locked --profile "$profile"
touch ".venv/stamps/built-$profile"
