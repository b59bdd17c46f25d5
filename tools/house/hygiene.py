"""Names, leftovers, addresses and lock files.

Prevents what no compiler sees: a file called `utils`, a module nothing reaches, a machine's own
path or a package host in a committed file, a pin without its hash.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

from house import rust
from house.tree import Tree, Violation

BANNED_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"}
# Put together here, so that this file does not break its own rule.
_HOSTS = "|".join(
    (
        r"py" r"pi\.org",
        r"files\.python" r"hosted\.org",
        r"(?:index|static)\.crates" r"\.io",
        r"registry\.npm" r"js\.org",
        r"(?:proxy|sum)\.go" r"lang\.org",
        r"repo1?\.maven" r"\.(?:apache\.)?org",
        r"deb\.deb" r"ian\.org",
    )
)
PLACES = re.compile(rf"(?<![\w.])/(?:work|ro{''}ot|home/\w+|Users/\w+)/|{_HOSTS}")
FOREIGN_LOCKS = {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "rust-toolchain.toml"}
CALLED_BY_NAME = {"__init__", "__main__", "conftest", "build"}


def names(tree: Tree) -> Iterator[Violation]:
    """A file is named by what it holds."""
    for path in tree.paths:
        for part in PurePosixPath(path).parts:
            word = BANNED_NAMES & set(re.split(r"[_.-]", part.lower()))
            if word:
                yield Violation(path, 1, "names", f"{word.pop()!r} says nothing: name the concept")


def places(tree: Tree) -> Iterator[Violation]:
    """No machine's path and no package host stands in the project."""
    for path in tree.paths:
        for number, line in enumerate(tree.text(path).splitlines(), start=1):
            if found := PLACES.search(line):
                message = f"{found[0]!r} belongs to a machine or a registry, not to the project"
                yield Violation(path, number, "places", message)


def _orphan_rust(tree: Tree) -> Iterator[str]:
    """Rust files that no `mod` line reaches."""
    declared = set()
    for path in tree.ending(".rs", under="crates/"):
        folder = rust.module_folder(path)
        for found in re.finditer(r"\bmod\s+(\w+)\s*;", rust.bare(tree.text(path))):
            declared |= {f"{folder}/{found[1]}.rs", f"{folder}/{found[1]}/mod.rs"}
        for found in re.finditer(r'#\[path\s*=\s*"([^"]+)"\]', tree.text(path)):
            declared.add((PurePosixPath(path).parent / found[1]).as_posix())
    roots = re.compile(
        r"crates/[^/]+/(build\.rs|src/(lib|main)\.rs|src/bin/[^/]+\.rs"
        r"|(tests|examples|benches)/([^/]+|[^/]+/main)\.rs|fuzz/.*\.rs)"
    )
    for path in tree.ending(".rs", under="crates/"):
        if path not in declared and not roots.fullmatch(path):
            yield path


def _orphan_python(tree: Tree) -> Iterator[str]:
    """Python files that nothing imports, names or collects."""
    python = tree.ending(".py")
    named = [p for p in tree.paths if not p.endswith((".rs", ".lock")) and p not in set(python)]
    prose = "\n".join(tree.text(path) for path in named)
    sources = "\n".join(tree.text(path) for path in python)
    for path in python:
        stem = PurePosixPath(path).stem
        if stem in CALLED_BY_NAME or re.match(r"test_|.*_test$", stem):
            continue
        # Samples are read by folder, not by name: then the folder is named.
        folder = PurePosixPath(path).parent.name
        if path.startswith("tests/") and re.search(rf"[\"/]{re.escape(folder)}\"", sources):
            continue
        word = re.compile(rf"\b{re.escape(stem)}\b")
        if not word.search(prose) and not any(
            word.search(tree.text(other)) for other in python if other != path
        ):
            yield path


def dead_files(tree: Tree) -> Iterator[Violation]:
    """No file stays that nothing reaches."""
    for path in _orphan_rust(tree):
        yield Violation(path, 1, "dead", "no `mod` line reaches this file")
    for path in _orphan_python(tree):
        yield Violation(path, 1, "dead", "nothing imports, names or collects this file")
    for path in tree.paths:
        if path.endswith((".orig", ".rej", ".bak", "~", ".pyc", ".swp")):
            yield Violation(path, 1, "dead", "a leftover of an editor or a tool")


def _pins(text: str) -> Iterator[tuple[int, str, bool]]:
    """(line, name, has a hash) of each pin of a requirements file."""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if found := re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==", line):
            following = lines[number] if number < len(lines) else ""
            yield number, found[1].lower(), "--hash=" in line or "--hash=" in following


def _wanted(tree: Tree, path: str) -> Iterator[str]:
    for line in tree.text(path).splitlines():
        if found := re.match(r"[A-Za-z0-9][\w.-]*", line):
            yield found[0].lower()


def _requirement_locks(tree: Tree) -> Iterator[Violation]:
    for path in tree.ending(".in", under="requirements/"):
        lock = path.removesuffix(".in") + ".txt"
        pins = list(_pins(tree.text(lock))) if lock in tree.paths else []
        for missing in sorted(set(_wanted(tree, path)) - {name for _, name, _ in pins}):
            yield Violation(path, 1, "locks", f"{missing} is not pinned in {lock}: lock again")
        for number, name, hashed in pins:
            if not hashed:
                yield Violation(lock, number, "locks", f"{name} is pinned without a hash")


def locks(tree: Tree) -> Iterator[Violation]:
    """Every language's lock is there, and only locks that name no download host."""
    for path in tree.paths:
        name = PurePosixPath(path).name
        if name in FOREIGN_LOCKS:
            yield Violation(path, 1, "locks", f"{name} names hosts or a toolchain: remove it")
        if name == "package-lock.json" and '"resolved"' in tree.text(path):
            yield Violation(path, 1, "locks", "lock without download addresses")
        go_sum = f"{path.removesuffix('go.mod')}go.sum"
        if name == "go.mod" and "require" in tree.text(path) and go_sum not in tree.paths:
            yield Violation(path, 1, "locks", "go.sum is missing")
    if "Cargo.toml" in tree.paths and "Cargo.lock" not in tree.paths:
        yield Violation("Cargo.toml", 1, "locks", "Cargo.lock is missing")
    yield from _requirement_locks(tree)
    if {"pyproject.toml", "requirements/run.in"} <= set(tree.paths):
        project = tomllib.loads(tree.text("pyproject.toml")).get("project", {})
        wanted = tree.text("requirements/run.in").splitlines()
        for dependency in project.get("dependencies", []):
            if dependency not in wanted:
                message = f"{dependency} is in pyproject.toml and not here"
                yield Violation("requirements/run.in", 1, "locks", message)
