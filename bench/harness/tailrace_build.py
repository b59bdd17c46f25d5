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

REFUSED_PROFILES = {"dev", "debug", "ci", "test"}


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
    profile = str(info.get("profile") or info.get("build_profile") or "unknown")
    if profile in REFUSED_PROFILES or profile == "unknown" or info.get("debug_assertions"):
        raise BenchError(
            f"this tailrace is a {profile} build; numbers come from `dist` builds only "
            "(run without --no-build)"
        )
    return f"tailrace {info.get('version', '?')} ({profile})"


def build_tailrace(venv: Path) -> str:
    """Build and install the wheel, and return its version."""
    wheels = WORK / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    python = str(venv / "bin" / "python")
    for argv in (
        [python, "-m", "maturin", "build", "--profile", "dist", "--out", str(wheels)],
        [python, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall"],
    ):
        command = argv if "maturin" in argv else [*argv, *map(str, wheels.glob("*.whl"))]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return must_be_published_build(build_info(venv))
