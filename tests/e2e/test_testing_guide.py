"""The guide to testing, run as its readers would: their files, their pytest.

The failure prevented: a guide whose tests fail for whoever copies them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

GUIDE = Path(__file__).parents[2] / "docs/guides/test-your-service.md"
BLOCK = re.compile(r"^```python (\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_guide_passes(tmp_path: Path) -> None:
    blocks = BLOCK.findall(GUIDE.read_text(encoding="utf-8"))
    services = [code for kind, code in blocks if kind == "service"]
    tests = [code for kind, code in blocks if kind == "test"]
    assert (len(services), len(tests)) == (1, 5)
    (tmp_path / "shop.py").write_text(services[0])
    for number, code in enumerate(tests):
        (tmp_path / f"test_block_{number}.py").write_text(code)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "14 passed" in ended.stdout


def test_every_answer_has_its_row() -> None:
    from tailrace import testing

    text = GUIDE.read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `(\w+)\(", text, re.MULTILINE))
    functions = {name for name in testing.__all__ if name[0].islower()}
    assert table == functions
