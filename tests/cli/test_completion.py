"""Completion scripts, sourced in the shells they are for."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from running import Run, clean_environment
from tailrace.cli import VERBS

BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_tailrace
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(run: Run, folder: Path) -> Path:
    path = folder / "completion.bash"
    path.write_text(run("completion", "bash").out)
    return path


def complete(script: Path, *words: str) -> set[str]:
    """What bash offers for a line that ends with the last of `words`."""
    ended = subprocess.run(
        ["bash", "-u", "-c", BASH, "bash", str(script), "tailrace", *words],
        cwd=script.parent,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    return set(ended.stdout.split())


def test_bash_completes_verbs_and_options(script: Path) -> None:
    assert complete(script, "") == {*VERBS, "--help", "--version"}
    assert complete(script, "ex") == {"explain"}
    assert complete(script, "serve", "--ad") == {"--admin-host", "--admin-port"}
    assert complete(script, "demo", "--h") == {"--hold", "--help"}
    assert {"--json", "--color", "--verbose"} <= complete(script, "fault", "--")


def test_bash_completes_values(script: Path) -> None:
    assert complete(script, "serve", "--protections", "o") == {"on", "off"}
    assert complete(script, "doctor", "--color", "a") == {"auto", "always"}
    assert complete(script, "completion", "") == {"bash", "zsh", "fish"}
    assert complete(script, "fault", "in") == {"inventory"}
    assert complete(script, "serve", "serv") == {"service.py"}
    assert complete(script, "serve", "--config", "serv") == {"service.py"}
    assert complete(script, "serve", "--port", "") == set()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_accept_their_script(shell: str, run: Run) -> None:
    text = run("completion", shell).out
    for verb in VERBS:
        assert verb in text
    assert "protections" in text
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    ended = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_script_is_data_too(run: Run) -> None:
    found = json.loads(run("completion", "fish", "--json").out)
    assert found["shell"] == "fish"
    assert found["script"] + "\n" == run("completion", "fish").out
