"""Build tailrace the way it is published, and refuse to measure anything else.

A debug or CI build is several times slower and would be a false number in the other direction, so
the runner builds a wheel with the `dist` profile into its own environment and asks the installed
program for its profile before the first request.

Published wheels are built with a profile of a training run (`training.py`), and so is this one
where the compiler's `llvm-profdata` is at hand; where it is not, the run says so and the version
in its result is "dist" instead of "dist, profiled".
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from harness.machine import ROOT, WORK, BenchError


def build_info(venv: Path) -> dict[str, Any]:
    """What the installed program says about its own build."""
    argv = [str(venv / "bin" / "tailrace"), "--version", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    try:
        info = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise BenchError(f"{' '.join(argv)} printed no JSON: {done.stderr[-800:]}") from error
    return info if isinstance(info, dict) else {}


def must_be_published_build(info: dict[str, Any]) -> str:
    """The version of a build that may be measured."""
    profile = str(info.get("profile", "unknown"))
    if profile not in {"dist", "dist, profiled"}:
        raise BenchError(f"this is a {profile} build; numbers come from `dist` builds only")
    return f"tailrace {info.get('tailrace', '?')} ({profile})"


def step(argv: list[str], env: dict[str, str] | None = None) -> None:
    """Run one build step in the repository, or stop with its last words."""
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)} failed:\n{done.stderr[-2000:]}")


def profdata_tool() -> Path | None:
    """The `llvm-profdata` that reads what this compiler's programs write, if there is one."""
    said = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=False).stdout
    sysroot = subprocess.run(
        ["rustc", "--print", "sysroot"], capture_output=True, text=True, check=False
    ).stdout.strip()
    major = re.search(r"^LLVM version: (\d+)", said, re.MULTILINE)
    host = re.search(r"^host: (\S+)", said, re.MULTILINE)
    if major is None or host is None:
        return None
    own = Path(sysroot) / "lib" / "rustlib" / host[1] / "bin" / "llvm-profdata"
    found = shutil.which(f"llvm-profdata-{major[1]}")
    return own if own.exists() else Path(found) if found else None


def wheel(venv: Path, name: str, flags: str, *features: str) -> Path:
    """Build a wheel with these compiler flags and cargo features, in a target folder of that name.

    Without flags it is the ordinary target folder.
    """
    out = WORK / "wheels" / name
    shutil.rmtree(out, ignore_errors=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    env = {"RUSTFLAGS": flags, "CARGO_TARGET_DIR": str(target / name)} if flags else {}
    maturin = [str(venv / "bin" / "python"), "-m", "maturin", "build"]
    # Given on the command line, features take the place of those in pyproject.toml.
    usual = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["maturin"]["features"]
    asked = ["--features", ",".join([*usual, *features])]
    step([*maturin, "--profile", "dist", "--locked", *asked, "--out", str(out)], env)
    return next(out.glob("*.whl"))


def install(venv: Path, built: Path) -> None:
    """Put the wheel into the environment, in place of the one before."""
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q"]
    step([*pip, "--no-deps", "--force-reinstall", str(built)])


def native_module(built: Path) -> bytes:
    """The extension inside a wheel."""
    with zipfile.ZipFile(built) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".so"))
        return archive.read(name)


def build_tailrace(venv: Path) -> str:
    """Build and install the wheel, and return its version."""
    from harness import training  # which measures with what is built here

    tool = profdata_tool()
    if tool is None:
        print("no llvm-profdata of rustc's LLVM: built without a profile", file=sys.stderr)
        built = wheel(venv, "plain", "")
    else:
        profile = training.profile(venv, tool)
        built = wheel(venv, "profiled", f"-Cprofile-use={profile}")
    install(venv, built)
    return must_be_published_build(build_info(venv))
