"""The files the rules look at, each read once.

Prevents rules that disagree about what belongs to the project: what git knows, or would add, is
the tree; what is ignored is not. Without git (a source archive, a test's folder) it is every file.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

NEVER = {".git", "target", ".venv", "__pycache__", "node_modules"}


@dataclass(frozen=True, order=True)
class Violation:
    """One broken rule, where, and what to do about it."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message} [{self.rule}]"


@dataclass(eq=False)
class Tree:
    """A project folder; paths are relative to it, with forward slashes."""

    root: Path
    paths: list[str] = field(init=False)
    _texts: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        found = self._of_git() if (self.root / ".git").exists() else self._of_folder()
        self.paths = sorted(path for path in found if (self.root / path).is_file())

    def _of_git(self) -> list[str]:
        argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(argv, cwd=self.root, capture_output=True, text=True, check=True)
        return sorted({path for path in done.stdout.split("\0") if path})

    def _of_folder(self) -> list[str]:
        found = []
        for folder, names, files in os.walk(self.root):
            names[:] = [name for name in names if name not in NEVER]
            relative = Path(folder).relative_to(self.root)
            found += [(relative / name).as_posix() for name in files]
        return found

    def text(self, path: str) -> str:
        """The file's text; empty for what is not text, or not there."""
        if path not in self._texts:
            try:
                self._texts[path] = (self.root / path).read_text(encoding="utf-8")
            except (UnicodeDecodeError, FileNotFoundError):
                self._texts[path] = ""
        return self._texts[path]

    def ending(self, *suffixes: str, under: str = "") -> list[str]:
        """Paths with one of the suffixes, in one folder when `under` is given."""
        return [path for path in self.paths if path.endswith(suffixes) and path.startswith(under)]
