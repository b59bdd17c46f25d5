"""Columns, function lengths, file lengths and module docs.

Prevents the file nobody reads to the end. What is over a limit today stands in the ratchet, whose
numbers only go down: it is compared with every version of itself that git knows.
"""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator

from house import rust
from house.tree import Tree, Violation

COLUMNS = 100
FUNCTION_LINES = 70
FILE_LINES = 400
RATCHET = "tools/tidy_ratchet.json"
CODE = (".rs", ".py", ".pyi", ".sh", ".c", ".lua", ".go")
WIDE = (*CODE, ".yml", ".yaml", ".in", "Makefile", ".ci/run")


def columns(tree: Tree) -> Iterator[Violation]:
    """No line over the limit, but for one that an address makes long."""
    for path in tree.ending(*WIDE):
        for number, line in enumerate(tree.text(path).splitlines(), start=1):
            if len(line) > COLUMNS and "://" not in line:
                yield Violation(path, number, "columns", f"{len(line)} columns, at most {COLUMNS}")


def _parsed(source: str) -> ast.Module:
    """The module; an empty one for a sample that is broken on purpose (ruff reports the others)."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def _python_functions(source: str) -> list[tuple[str, int, int]]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(_parsed(source)) if isinstance(node, kinds)]
    return [(n.name, n.lineno, (n.end_lineno or n.lineno) - n.lineno + 1) for n in nodes]


def measured(tree: Tree) -> dict[str, tuple[int, int, int]]:
    """What is over its limit: key of the ratchet -> (line, size, limit)."""
    over = {}
    for path in tree.ending(*CODE):
        text = tree.text(path)
        lines = len(text.splitlines())
        if lines > FILE_LINES:
            over[path] = (1, lines, FILE_LINES)
        found = rust.functions(text) if path.endswith(".rs") else []
        if path.endswith(".py"):
            found = _python_functions(text)
        for name, line, size in found:
            if size > FUNCTION_LINES:
                over[f"{path}::{name}"] = (line, size, FUNCTION_LINES)
    return over


def _versions(tree: Tree) -> list[dict[str, int]]:
    """Every committed version of the ratchet, newest first; none without git."""
    if not (tree.root / ".git").exists():
        return []
    argv = ["git", "log", "--format=%H", "--", RATCHET]
    log = subprocess.run(argv, cwd=tree.root, capture_output=True, text=True, check=False)
    versions = []
    for commit in log.stdout.split():
        argv = ["git", "show", f"{commit}:{RATCHET}"]
        shown = subprocess.run(argv, cwd=tree.root, capture_output=True, text=True, check=False)
        if shown.returncode == 0:
            versions.append(json.loads(shown.stdout))
    return versions


def lengths(tree: Tree) -> Iterator[Violation]:
    """Files and functions within their limits, or within the ratchet."""
    ratchet: dict[str, int] = json.loads(tree.text(RATCHET)) if RATCHET in tree.paths else {}
    over = measured(tree)
    for key, (line, size, limit) in over.items():
        path, _, name = key.partition("::")
        allowed = ratchet.get(key, limit)
        what = f"function {name}" if name else "file"
        if size > allowed:
            yield Violation(path, line, "length", f"{what} has {size} lines, at most {allowed}")
        elif size < allowed:
            yield Violation(RATCHET, 1, "ratchet", f"{key} is {size} lines now: lower its number")
    for key in sorted(ratchet.keys() - over.keys()):
        yield Violation(RATCHET, 1, "ratchet", f"{key} is within the limit now: remove it")
    versions = _versions(tree)
    for key, size in ratchet.items():
        lowest = min((version.get(key, 0) for version in versions), default=size)
        if size > lowest:
            was = lowest or "absent"
            yield Violation(RATCHET, 1, "ratchet", f"{key} was {was}: it may only go down")


def _has_rust_doc(text: str) -> bool:
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#!")), "")
    return first.startswith("//!")


def _is_test(tree: Tree, path: str) -> bool:
    return path.startswith("tests/") or "/tests/" in path or path in rust.test_files(tree)


def docs(tree: Tree) -> Iterator[Violation]:
    """Each module that is not a test opens with the failure it prevents."""
    for path in tree.ending(".rs", ".py", ".pyi", ".sh"):
        text = tree.text(path)
        if _is_test(tree, path) or not text.strip():
            continue
        if path.endswith(".rs"):
            good = _has_rust_doc(text)
        elif path.endswith(".sh"):
            good = len(text.splitlines()) > 1 and text.splitlines()[1].startswith("# ")
        else:
            good = ast.get_docstring(_parsed(text)) is not None
        if not good:
            yield Violation(path, 1, "doc", "no module doc: what does this prevent, and how?")
