#!/usr/bin/env python3
"""The house rules as a test: `python tools/tidy.py [FOLDER]`, also run by tests/tools.

Prevents rules that live in a document and die there. Each rule is a function over the tree in
tools/house; exit 1 and one line for each violation.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from house import hygiene, sizes, walls
from house.tree import Tree, Violation

RULES = (
    sizes.columns,
    sizes.lengths,
    sizes.docs,
    walls.crate_edges,
    walls.rust_names,
    walls.python_imports,
    hygiene.names,
    hygiene.places,
    hygiene.dead_files,
    hygiene.locks,
)


def violations(root: Path) -> list[Violation]:
    """Every violation in the tree, in order of place."""
    tree = Tree(root)
    return sorted({violation for rule in RULES for violation in rule(tree)})


def main(argv: list[str]) -> int:
    """Print what is broken; 0 when nothing is."""
    root = Path(argv[0]) if argv else Path(__file__).resolve().parent.parent
    found = violations(root)
    for violation in found:
        print(violation)
    print(f"tidy: {len(RULES)} rules, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
