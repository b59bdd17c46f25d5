"""The workflows: what they use is pinned, and a release is tested with every supported Python.

The failure prevented: a tag that somebody else moves and that then runs with our credentials, and a
wheel for a Python that nobody has tried.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_actions_are_pinned_by_commit_with_their_version_beside(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert used
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d[\w.]*")
    assert [one for one in used if not pinned.fullmatch(one)] == []


def test_a_release_is_tested_with_every_supported_python() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    tried = text[text.index("  try:") : text.index("  publish:")]
    (matrix,) = re.findall(r"python: \[(.+)\]", tried)
    assert tuple(re.findall(r'"([\d.]+)"', matrix)) == PYTHONS
    assert "python -m pytest" in tried
    assert "needs: [linux, macos, sdist, try]" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["requires-python"] == f">={PYTHONS[0]}"
