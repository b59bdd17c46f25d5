"""A temporary project to break rules in."""

from pathlib import Path

import pytest
from sandbox import Write


@pytest.fixture
def project(tmp_path: Path) -> Write:
    """Writes files, by path, into a folder that is not a repository; gives the folder."""

    def write(files: dict[str, str]) -> Path:
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text, encoding="utf-8")
        return tmp_path

    return write
