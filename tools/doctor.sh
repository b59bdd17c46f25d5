#!/bin/sh
# Says, before anything is built, what this machine lacks: one line each, with what to install.
#
# It prevents the build that dies minutes later with a compiler's words for "your cargo is too old".
# Plain sh, because it must run where Python is missing. Exit 3 when something is lacking.
#   sh tools/doctor.sh            check; silent when all is well
#   sh tools/doctor.sh --lint     also clippy and rustfmt
#   sh tools/doctor.sh --python   print the Python that the environment is made with
set -u

python_minor=11
cargo_minor=89
lacking=0

say() {
    echo "tailrace needs $1" >&2
    lacking=1
}

# How this system calls the package that is named first by Debian, then by Fedora, then by Homebrew.
install_with() {
    if command -v apt-get >/dev/null 2>&1; then echo "sudo apt-get install $1"
    elif command -v dnf >/dev/null 2>&1; then echo "sudo dnf install $2"
    elif command -v brew >/dev/null 2>&1; then echo "$3"
    else echo "install your system's package for it"
    fi
}

good_python() {
    "$1" -c "import sys; sys.exit(sys.version_info < (3, $python_minor))" >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if good_python "$name"; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

# "cargo 1.95.0 (...)" -> 95; anything that is not 1.x counts as 0 below 1 and as 999 above.
minor_of() {
    "$1" --version 2>/dev/null |
        awk '{ split($2, v, "."); print (v[1] == 1) ? v[2] : (v[1] > 1) ? 999 : 0; exit }'
}

check_git() {
    command -v git >/dev/null 2>&1 && return
    say "git: $(install_with git git 'brew install git')"
}

check_python() {
    if ! python=$(find_python); then
        found=$(python3 -V 2>&1 | head -n 1) || found="none"
        case "$found" in Python*) ;; *) found="none" ;; esac
        fix=$(install_with 'python3.11 python3.11-venv' python3.12 'brew install python@3.12')
        say "Python 3.$python_minor or newer (found: $found): $fix"
    elif ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        say "Python's venv module: $(install_with "python$version-venv" python3-libs \
            'brew reinstall python')"
    fi
}

check_cargo() {
    rustup="install Rust with rustup (https://rustup.rs), then open a new shell"
    command -v rustup >/dev/null 2>&1 && rustup="run: rustup update stable"
    for tool in cargo rustc; do
        if ! command -v $tool >/dev/null 2>&1; then
            say "cargo 1.$cargo_minor or newer, and there is no $tool: $rustup"
            return
        fi
        minor=$(minor_of $tool)
        if [ "${minor:-0}" -lt "$cargo_minor" ]; then
            whose=""
            case "$(command -v $tool)" in /usr/bin/*) whose="your system's " ;; esac
            say "cargo 1.$cargo_minor or newer, and yours is $whose$($tool --version |
                cut -d ' ' -f 1,2): $rustup"
            return
        fi
    done
}

check_lint() {
    for tool in clippy fmt; do
        cargo $tool --version >/dev/null 2>&1 && continue
        say "cargo $tool: run: rustup component add clippy rustfmt"
        return
    done
}

check_compiler() {
    command -v "${CC:-cc}" >/dev/null 2>&1 || {
        say "a C compiler (${CC:-cc}): $(install_with build-essential gcc 'xcode-select --install')"
        return
    }
    # A compiler without the C library's headers is as good as none.
    room=$(mktemp -d) || return
    echo '#include <stdlib.h>
int main(void) { return EXIT_SUCCESS; }' >"$room/probe.c"
    "${CC:-cc}" "$room/probe.c" -o "$room/probe" >/dev/null 2>&1 ||
        say "a C compiler that can build a program (yours cannot find its headers or linker): $(
            install_with build-essential 'gcc glibc-devel' 'xcode-select --install')"
    rm -rf "$room"
}

if [ "${1:-}" = "--python" ]; then
    find_python || { check_python; exit 3; }
    exit 0
fi
check_git
check_python
check_cargo
[ "${1:-}" = "--lint" ] && [ "$lacking" = 0 ] && check_lint
check_compiler
[ "$lacking" = 0 ] || exit 3
