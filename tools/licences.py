#!/usr/bin/env python3
"""Every crate we ship or build with carries a licence on the list: `python tools/licences.py`.

Prevents a dependency whose terms a user of the wheel never agreed to. The list says what may be
linked without asking anyone; a choice (`OR`) is fine when one side is on it, a sum (`AND`) when
both are. deny.toml holds the same list for cargo-deny; a test compares the two.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}


def _tokens(expression: str) -> list[str]:
    # "MIT/Apache-2.0" is the old way to write a choice.
    spaced = expression.replace("/", " OR ").replace("(", " ( ").replace(")", " ) ")
    joined = re.sub(r"(\S+)\s+WITH\s+(\S+)", r"\1_WITH_\2", spaced)
    return [token.replace("_WITH_", " WITH ") for token in joined.split()]


def allowed(expression: str) -> bool:
    """Whether an SPDX expression can be met from the list alone."""
    tokens = _tokens(expression)

    def either() -> bool:
        good = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            good = both() or good
        return good

    def both() -> bool:
        good = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            good = one() and good
        return good

    def one() -> bool:
        word = tokens.pop(0) if tokens else ""
        if word == "(":
            good = either()
            if tokens:
                tokens.pop(0)
            return good
        return word in ALLOWED

    return either() and not tokens


def refused(metadata: dict[str, list[dict[str, str | None]]]) -> list[str]:
    """One line for each package whose licence is not on the list."""
    lines = []
    for package in metadata["packages"]:
        expression = package.get("license") or ""
        if not allowed(expression):
            lines.append(f"{package['name']} {package['version']}: {expression or 'no licence'}")
    return sorted(lines)


def main() -> int:
    """Ask cargo for the packages of the lock file; 0 when all are allowed."""
    root = Path(__file__).resolve().parent.parent
    argv = ["cargo", "metadata", "--format-version", "1", "--locked"]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr, end="")
        return 3
    metadata = json.loads(done.stdout)
    lines = refused(metadata)
    for line in lines:
        print(f"licence not on the list (tools/licences.py): {line}")
    print(f"licences: {len(metadata['packages'])} packages, {len(lines)} refused")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
