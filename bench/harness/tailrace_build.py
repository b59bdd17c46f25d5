"""Build tailrace the way it is published, and refuse to measure anything else.

A debug or CI build is several times slower and would be a false number in the other direction, so
the runner builds a wheel with the `dist` profile into its own environment and asks the installed
program for its profile before the first request.
"""

from __future__ import annotations

import json
import shutil
import subprocess
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
    if profile != "dist":
        raise BenchError(f"this is a {profile} build; numbers come from `dist` builds only")
    return f"tailrace {info.get('tailrace', '?')} ({profile})"


def step(argv: list[str]) -> None:
    """Run one build step in the repository, or stop with its last words."""
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)} failed:\n{done.stderr[-2000:]}")


def build_tailrace(venv: Path) -> str:
    """Build and install the wheel, and return its version."""
    wheels = WORK / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    python = [str(venv / "bin" / "python"), "-m"]
    step([*python, "maturin", "build", "--profile", "dist", "--locked", "--out", str(wheels)])
    built = [str(wheel) for wheel in wheels.glob("*.whl")]
    step([*python, "pip", "install", "-q", "--no-deps", "--force-reinstall", *built])
    return must_be_published_build(build_info(venv))
