#!/usr/bin/env python3
"""Which requirement is honoured where: `make requirements`.

Prevents a promise that nobody can find in the code, or that no test proves. Ids come from
docs/reference/requirements.md; places are comments and docs that cite one (`req 4.3`, or several:
`req 4.3, 4.4`). An id is *done* when it stands in requirements-done.txt: with `--check` it must
then have code and test, and a cited id must exist. A citation says where to look, not that it
holds: that is the test's word. What of an id is not there yet stands in requirements-open.txt, and
such an id is met in part, whatever cites it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from house import rust
from house.tree import Tree

IDS = "docs/reference/requirements.md"
DONE = "docs/reference/requirements-done.txt"
OPEN = "docs/reference/requirements-open.txt"
ROW = re.compile(r"\|\s*(\d+\.\d+[a-d]?)\s*\|\s*(.+?)\s*\|\s*$")
CITED = re.compile(r"\breqs?\.?\s+(\d+\.\d+[a-d]?(?:(?:\s*,\s*|\s+and\s+)\d+\.\d+[a-d]?)*)", re.I)
# The naive aggregation cites what it breaks, to show its faults are meant; only 2.* is its own.
COUNTER_EXAMPLE = "crates/tailrace-lab/src/naive/"
SHOWN = 4


@dataclass
class Requirement:
    """One id, what it asks, and the places that cite it."""

    id: str
    text: str
    code: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    open: str = ""
    """What of it is not there yet."""

    @property
    def met(self) -> bool:
        return bool(self.code and self.test) and not self.open


def read_ids(tree: Tree) -> dict[str, Requirement]:
    """The requirements, in the order of the page."""
    rows = (ROW.match(line) for line in tree.text(IDS).splitlines())
    return {row[1]: Requirement(row[1], row[2]) for row in rows if row}


def read_done(tree: Tree) -> list[str]:
    """The ids that must have code and test."""
    lines = (line.split("#")[0].split() for line in tree.text(DONE).splitlines())
    return [word for line in lines for word in line]


def read_open(tree: Tree) -> Iterator[tuple[str, str]]:
    """(id, what of it is not there yet)."""
    for line in tree.text(OPEN).splitlines():
        if line and not line.startswith("#"):
            name, _, what = line.partition(" ")
            yield name, what.strip()


def citations(tree: Tree, path: str) -> Iterator[tuple[int, str]]:
    """(line, id) of each citation in a file."""
    for number, line in enumerate(tree.text(path).splitlines(), start=1):
        for found in CITED.finditer(line):
            yield from ((number, cited) for cited in re.findall(r"\d+\.\d+[a-d]?", found[1]))


def _test_lines(tree: Tree, path: str) -> set[int] | None:
    """The lines of a file that are tests; None when all are."""
    if path.startswith("tests/") or path in rust.test_files(tree):
        return None
    return rust.test_lines(tree.text(path)) if path.endswith(".rs") else set()


def collect(tree: Tree) -> tuple[dict[str, Requirement], list[str]]:
    """The requirements with their places, and the citations of ids that do not exist."""
    requirements = read_ids(tree)
    unknown = []
    for path in tree.ending(".rs", ".py", ".pyi", ".json", ".toml"):
        # The tests of this report cite ids of their own.
        if not re.match(r"(crates|python|examples|tests)/(?!tools/)", path):
            continue
        tests = _test_lines(tree, path)
        for line, cited in citations(tree, path):
            if cited not in requirements:
                unknown.append(f"{path}:{line}: cites req {cited}, which {IDS} does not list")
                continue
            if path.startswith(COUNTER_EXAMPLE) and not cited.startswith("2."):
                continue
            kind = "test" if tests is None or line in tests else "code"
            places = getattr(requirements[cited], kind)
            places.append(f"{path}:{line}")
    for name, what in read_open(tree):
        if name in requirements:
            requirements[name].open = what
        else:
            unknown.append(f"{OPEN}: {name} is not listed in {IDS}")
    return requirements, unknown


def _places(places: list[str]) -> str:
    # One file is one place to open; its first line is enough.
    files: dict[str, str] = {}
    for place in places:
        files.setdefault(place.rpartition(":")[0], place)
    shown = " ".join(list(files.values())[:SHOWN])
    more = len(files) - SHOWN
    return f"{shown} (+{more} files)" if more > 0 else shown


def report(requirements: dict[str, Requirement]) -> Iterator[str]:
    """The lines `make requirements` prints."""
    for one in requirements.values():
        if not one.code and not one.test:
            yield f"{one.id:<6} open  {one.text}"
            continue
        yield f"{one.id:<6} {'ok  ' if one.met else 'part'}  {one.text}"
        yield f"         code  {_places(one.code) or 'open'}"
        yield f"         test  {_places(one.test) or 'open'}"
        if one.open:
            yield f"         open  {one.open}"


def problems(requirements: dict[str, Requirement], done: list[str]) -> Iterator[str]:
    """What keeps a requirement listed as done from being so."""
    for name in done:
        one = requirements.get(name)
        if one is None:
            yield f"{DONE}: {name} is not listed in {IDS}"
            continue
        for kind, places in (("code", one.code), ("test", one.test)):
            if not places:
                yield f"{DONE}: {name} is listed as done, and no {kind} cites `req {name}`"


def main(argv: list[str]) -> int:
    """Print the report; with --check only what is wrong, and 1 when anything is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="print what is wrong; exit 1 if any")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    options = parser.parse_args(argv)
    tree = Tree(options.root)
    requirements, unknown = collect(tree)
    wrong = [*unknown, *problems(requirements, read_done(tree))]
    for line in wrong if options.check else report(requirements):
        print(line)
    counted = list(requirements.values())
    met = sum(one.met for one in counted)
    still = sum(not one.code and not one.test for one in counted)
    part = len(counted) - met - still
    print(f"requirements: {met} with code and test, {part} in part, {still} open")
    return 1 if options.check and (wrong or not counted) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
