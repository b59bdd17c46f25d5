#!/usr/bin/env python3
"""The pages hold together: `make docs`.

Prevents a link to a page or heading that moved, and an example that is not even Python. Addresses
on the web are not followed: the check needs no network.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).resolve().parent))

from house.tree import Tree, Violation

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The fragments a page's headings give, as code hosts make them."""
    found: set[str] = set()
    for title in re.findall(r"^#+\s+(.+?)\s*$", BLOCK.sub("", text), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        number = 0
        while (name := f"{plain}-{number}" if number else plain) in found:
            number += 1
        found.add(name)
    return found


def _resolve(page: str, target: str) -> str:
    parts: list[str] = []
    for part in (PurePosixPath(page).parent / target).parts:
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    return "/".join(parts)


def links(tree: Tree, page: str) -> Iterator[Violation]:
    """Relative links and fragments that lead nowhere."""
    text = tree.text(page)
    # Code is not prose: what looks like a link there is left alone, position by position.
    prose = BLOCK.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    prose = re.sub(r"`[^`\n]*`", lambda found: " " * len(found[0]), prose)
    for found in LINK.finditer(prose):
        if re.match(r"[a-z]+:", found[1]):
            continue
        target, _, fragment = found[1].partition("#")
        path = _resolve(page, target) if target else page
        line = prose.count("\n", 0, found.start()) + 1
        folder = any(other.startswith(f"{path}/") for other in tree.paths)
        if path not in tree.paths and not folder:
            yield Violation(page, line, "docs", f"{found[1]} leads nowhere")
        elif fragment and path.endswith(".md") and fragment not in anchors(tree.text(path)):
            yield Violation(page, line, "docs", f"{path} has no heading #{fragment}")


def examples(tree: Tree, page: str) -> Iterator[Violation]:
    """Python blocks that are not Python."""
    text = tree.text(page)
    for found in BLOCK.finditer(text):
        if found[2] not in ("python", "py"):
            continue
        try:
            ast.parse(textwrap.dedent(found[3]))
        except SyntaxError as error:
            line = text.count("\n", 0, found.start()) + 1 + (error.lineno or 1)
            yield Violation(page, line, "docs", f"the example is not Python: {error.msg}")


def main(argv: list[str]) -> int:
    """Check every page; 0 when all hold."""
    tree = Tree(Path(argv[0]) if argv else Path(__file__).resolve().parent.parent)
    pages = tree.ending(".md")
    found = sorted(v for page in pages for rule in (links, examples) for v in rule(tree, page))
    for violation in found:
        print(violation)
    print(f"docs: {len(pages)} pages, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
