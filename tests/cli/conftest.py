"""A user's folder, and a way to run commands in it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from running import PATIENCE_SECONDS, SERVICE, TAILRACE, Ended, Run, clean_environment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with one good service."""
    (tmp_path / "service.py").write_text(SERVICE)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs a command line in the folder and returns how it ended."""

    def run(*words: str, env: Mapping[str, str] | None = None) -> Ended:
        ended = subprocess.run(
            [*TAILRACE, *words],
            cwd=folder,
            env=clean_environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run
