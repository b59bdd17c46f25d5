"""What the rules need to know about Rust text, without a compiler.

Prevents counting braces and names that stand in comments or strings: `bare` blanks both and keeps
every position. It does not expand macros; a `fn` inside `macro_rules!` is measured as written.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import PurePosixPath

from house.tree import Tree

_TOKEN = re.compile(
    r"""//[^\n]*"""
    r"""|/\*"""
    r"""|\bb?r(?P<fence>\#*)".*?"(?P=fence)"""
    r"""|\bb?"(?:\\.|[^"\\])*"|"(?:\\.|[^"\\])*\""""
    r"""|'(?:\\(?:u\{[^}]*\}|x[0-9a-fA-F]{2}|.)|[^\\'\n])'""",
    re.DOTALL,
)
_TEST_MODULE = re.compile(
    r"#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*"
    r"(?:pub(?:\([a-z]+\))? )?mod (\w+)\s*([;{])"
)
_FN = re.compile(r"\bfn\s+(\w+)")


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _comment_end(source: str, start: int) -> int:
    depth, at = 0, start
    while at < len(source):
        if source.startswith("/*", at):
            depth, at = depth + 1, at + 2
        elif source.startswith("*/", at):
            depth, at = depth - 1, at + 2
            if depth == 0:
                return at
        else:
            at += 1
    return len(source)


@lru_cache(maxsize=1024)
def bare(source: str) -> str:
    """The source with comments and literals blanked, position by position."""
    out, at = [], 0
    while found := _TOKEN.search(source, at):
        end = _comment_end(source, found.start()) if found[0] == "/*" else found.end()
        out += [source[at : found.start()], _blank(source[found.start() : end])]
        at = end
    return "".join([*out, source[at:]])


def block_end(code: str, opening: int) -> int:
    """The position after the brace that closes the one at `opening`, in bare code."""
    depth = 0
    for found in re.finditer(r"[{}]", code[opening:]):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return opening + found.end()
    return len(code)


def line_of(text: str, position: int) -> int:
    """The line number of a position, from 1."""
    return text.count("\n", 0, position) + 1


def functions(source: str) -> list[tuple[str, int, int]]:
    """(name, first line, number of lines) of each function that has a body."""
    code, found = bare(source), []
    for match in _FN.finditer(code):
        depth = 0
        for at in range(match.end(), len(code)):
            sign = code[at]
            if sign in "([":
                depth += 1
            elif sign in ")]":
                depth -= 1
            elif sign == ";" and depth == 0:
                break
            elif sign == "{" and depth == 0:
                first = line_of(code, match.start())
                last = line_of(code, block_end(code, at) - 1)
                found.append((match[1], first, last - first + 1))
                break
    return found


def test_lines(source: str) -> set[int]:
    """The lines inside `#[cfg(test)] mod ... { }` blocks."""
    code, lines = bare(source), set()
    for match in _TEST_MODULE.finditer(code):
        if match[2] == "{":
            end = block_end(code, match.end() - 1)
            lines |= set(range(line_of(code, match.start()), line_of(code, end - 1) + 1))
    return lines


def module_folder(path: str) -> str:
    """The folder where the submodules of the file at `path` live."""
    file = PurePosixPath(path)
    roots = ("mod.rs", "lib.rs", "main.rs", "build.rs")
    target_root = file.parent.name in ("tests", "examples", "benches") and file.parts[0] == "crates"
    own = file.parent if file.name in roots or target_root else file.with_suffix("")
    return own.as_posix()


@lru_cache(maxsize=8)
def test_files(tree: Tree) -> set[str]:
    """Rust files that exist for tests only: cargo's test folder and `#[cfg(test)] mod name;`."""
    found = {p for p in tree.ending(".rs") if re.match(r"crates/[^/]+/(tests|benches)/", p)}
    for path in tree.ending(".rs", under="crates/"):
        for match in _TEST_MODULE.finditer(bare(tree.text(path))):
            if match[2] == ";":
                stem = f"{module_folder(path)}/{match[1]}"
                inside = (f"{stem}.rs", f"{stem}/")
                found |= {
                    p for p in tree.ending(".rs") if p == inside[0] or p.startswith(inside[1])
                }
    return found


def outside_tests(tree: Tree, path: str) -> str:
    """The bare code of a file with its test modules blanked; empty for a test file."""
    if path in test_files(tree):
        return ""
    source = tree.text(path)
    tests = test_lines(source)
    lines = bare(source).split("\n")
    return "\n".join("" if number in tests else line for number, line in enumerate(lines, start=1))
