"""A missing or too old tool is one line that says what to install, and exit 3."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox import ROOT

PLAIN = ("sh", "awk", "head", "cut", "mktemp", "rm", "env")
GOOD = {
    "git": "exit 0",
    "python3": "exit 0",
    "cargo": "echo 'cargo 1.95.0 (a 2026-01-01)'",
    "rustc": "echo 'rustc 1.95.0 (a 2026-01-01)'",
    "cc": "exit 0",
}
OLD_PYTHON = 'case "$1" in -V) echo "Python 3.9.2" ;; *) exit 1 ;; esac'

Doctor = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """Runs the check where only the given tools are; each is a script, None is absent."""

    def run(*arguments: str, **tools: str | None) -> subprocess.CompletedProcess[str]:
        for name in PLAIN:
            found = shutil.which(name)
            assert found
            (tmp_path / name).symlink_to(found)
        for name, script in {**GOOD, **tools}.items():
            if script is not None:
                # "x" makes a new file or fails: a link to the real tool is never written through.
                with (tmp_path / name).open("x", encoding="utf-8") as file:
                    file.write(f"#!/bin/sh\n{script}\n")
                (tmp_path / name).chmod(0o755)
        environment = {"PATH": str(tmp_path), "TMPDIR": str(tmp_path)}
        return subprocess.run(
            ["sh", str(ROOT / "tools/doctor.sh"), *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_good_machine_hears_nothing(doctor: Doctor) -> None:
    done = doctor()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ({"git": None}, "git: "),
        ({"python3": None}, "Python 3.11 or newer (found: none)"),
        ({"python3": OLD_PYTHON}, "Python 3.11 or newer (found: Python 3.9.2)"),
        ({"python3": 'case "$2" in *ensurepip*) exit 1 ;; esac'}, "Python's venv module"),
        ({"cargo": None}, "there is no cargo: install Rust with rustup"),
        ({"rustc": None}, "there is no rustc: install Rust with rustup"),
        ({"cargo": "echo 'cargo 0.66.0'"}, "yours is cargo 0.66.0: install Rust with rustup"),
        ({"rustc": "echo 'rustc 1.63.0'"}, "yours is rustc 1.63.0"),
        ({"cargo": "echo 'cargo 1.88.0'", "rustup": "exit 0"}, "run: rustup update stable"),
        ({"cc": None}, "a C compiler (cc)"),
        ({"cc": "exit 1"}, "cannot find its headers or linker"),
    ],
)
def test_what_is_lacking_is_one_line(
    doctor: Doctor, tools: dict[str, str | None], words: str
) -> None:
    done = doctor(**tools)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("tailrace needs ")
    assert words in lines[0]


def test_lint_needs_its_cargo_parts(doctor: Doctor) -> None:
    cargo = 'case "$1" in clippy) exit 1 ;; *) echo "cargo 1.95.0" ;; esac'
    done = doctor("--lint", cargo=cargo)
    assert done.returncode == 3
    assert done.stderr == (
        "tailrace needs cargo clippy: run: rustup component add clippy rustfmt\n"
    )


def test_the_python_is_named(doctor: Doctor, tmp_path: Path) -> None:
    done = doctor("--python")
    assert done.stdout == f"{tmp_path / 'python3'}{os.linesep}"
