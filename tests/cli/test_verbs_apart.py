"""Verbs never import each other, and nothing outside the command line imports a verb."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tailrace import cli
from tailrace.cli import VERBS

CLI = Path(cli.__file__).parent
FILES = sorted(CLI.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{one.name}" for one in node.names)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names)


def verb_of(path: Path) -> str | None:
    first = path.relative_to(CLI).parts[0].removesuffix(".py")
    return first if first in VERBS else None


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(CLI)) for path in FILES])
def test_a_file_knows_its_own_verb_only(path: Path) -> None:
    own = verb_of(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[:2] == ["tailrace", "cli"] and len(parts) > 2 and parts[2] in VERBS:
            assert parts[2] == own, f"{path.name} imports the verb {parts[2]}"


def test_every_verb_has_its_module_and_no_module_is_without_one() -> None:
    modules = {path.stem for path in CLI.glob("[a-z]*.py")}
    folders = {path.parent.name for path in CLI.glob("[a-z]*/__init__.py")}
    assert modules | folders == set(VERBS)
