"""The dependency rule: arrows point one way, in Rust and in Python.

verbs -> declarations -> _lower -> _runtime -> _plane -> {plane, lab} -> blueprint -> policy

Prevents the shortcut that costs a wall: a policy that reads a clock, a declaration that imports a
verb, a second crate that names pyo3. Cargo already forbids cycles; this forbids directions.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

from house import rust
from house.tree import Tree, Violation

CRATES: dict[str, set[str]] = {
    "tailrace-policy": set(),
    "tailrace-blueprint": {"tailrace-policy"},
    "tailrace-plane": {"tailrace-policy", "tailrace-blueprint"},
    "tailrace-lab": {"tailrace-policy", "tailrace-blueprint"},
    "tailrace-python": {"tailrace-plane", "tailrace-lab", "tailrace-blueprint"},
}
POLICY_OUTSIDE = {"serde"}
IMPURE = re.compile(
    r"\b(tokio|hyper|fastrand|rand|getrandom|Instant::now|SystemTime|std::net|std::thread"
    r"|std::fs|std::env)\b"
)
PACKAGE = "python/tailrace/"
VERBS = {"cli", "drill", "capacity", "audit", "k8s", "observe"}
NATIVE_IMPORTERS = {"_runtime", "_lab"}


def crate_edges(tree: Tree) -> Iterator[Violation]:
    """Which crate may name which, and pyo3 in the leaf only."""
    for path in tree.paths:
        if not re.fullmatch(r"crates/[^/]+/Cargo\.toml", path):
            continue
        manifest = tomllib.loads(tree.text(path))
        name = manifest["package"]["name"]
        if name not in CRATES:
            yield Violation(path, 1, "walls", f"{name} has no place in tools/house/walls.py yet")
            continue
        shipped = {*manifest.get("dependencies", {}), *manifest.get("build-dependencies", {})}
        named = shipped | manifest.get("dev-dependencies", {}).keys()
        for other in sorted(named & CRATES.keys() - CRATES[name]):
            yield Violation(path, 1, "walls", f"{name} must not depend on {other}")
        if name != "tailrace-python" and "pyo3" in named:
            yield Violation(path, 1, "walls", f"{name} must not name pyo3; tailrace-python does")
        if name == "tailrace-policy":
            for other in sorted(shipped - CRATES.keys() - POLICY_OUTSIDE):
                yield Violation(path, 1, "walls", f"tailrace-policy must not depend on {other}")


def rust_names(tree: Tree) -> Iterator[Violation]:
    """pyo3 in the leaf only; no clock, socket, runtime or chance in a policy outside tests."""
    for path in tree.ending(".rs", under="crates/"):
        if not path.startswith("crates/tailrace-python/"):
            code = rust.bare(tree.text(path))
            for found in re.finditer(r"\bpyo3\b", code):
                line = rust.line_of(code, found.start())
                yield Violation(path, line, "walls", "only tailrace-python names pyo3")
        if path.startswith("crates/tailrace-policy/src/"):
            code = rust.outside_tests(tree, path)
            for found in IMPURE.finditer(code):
                line = rust.line_of(code, found.start())
                message = f"a policy must not name {found[1]}: time and chance are arguments"
                yield Violation(path, line, "walls", message)


def _module_of(path: str) -> str:
    parts = PurePosixPath(path).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: str, source: str) -> Iterator[tuple[int, str]]:
    """(line, absolute module or name) of everything a file of the package imports."""
    package = _module_of(path)
    if not path.endswith("__init__.py"):
        package = package.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base] if base else up)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _verb_in_cli(parts: list[str], verbs: set[str]) -> str | None:
    """The verb a dotted name below `tailrace` belongs to, when it is one of the cli's."""
    return parts[1] if len(parts) > 1 and parts[0] == "cli" and parts[1] in verbs else None


def _refusal(own: list[str], other: list[str], cli_verbs: set[str]) -> str | None:
    """Why the module `own` must not import `other`; both as parts below `tailrace`."""
    mine, theirs = own[0] if own else "", other[0]
    if theirs == "_plane" and mine not in NATIVE_IMPORTERS:
        return "only _runtime and _lab import _plane"
    if mine in NATIVE_IMPORTERS and theirs not in ("_plane", mine):
        return f"{mine} imports nothing of tailrace but _plane"
    if theirs == "testing" and mine != "testing":
        return "testing is for tests: nothing that is served imports it"
    if theirs in VERBS and mine not in VERBS and own != ["__main__"]:
        return f"a declaration must not import a verb ({theirs})"
    if theirs in VERBS and mine in VERBS and mine not in (theirs, "cli"):
        return f"the verb {mine} must not import the verb {theirs}"
    one, two = _verb_in_cli(own, cli_verbs), _verb_in_cli(other, cli_verbs)
    if one and two and one != two:
        return f"the verb {one} must not import the verb {two}"
    return None


def python_imports(tree: Tree) -> Iterator[Violation]:
    """Who may import whom inside the package, lazily or not."""
    files = tree.ending(".py", under=PACKAGE)
    inside_cli = [PurePosixPath(p).relative_to(f"{PACKAGE}cli") for p in files if "/cli/" in p]
    cli_verbs = {p.parts[0].removesuffix(".py") for p in inside_cli}
    cli_verbs = {name for name in cli_verbs if not name.startswith("_")}
    for path in files:
        own = _module_of(path).split(".")[1:]
        for line, name in imports(path, tree.text(path)):
            parts = name.split(".")
            if parts[0] != "tailrace" or len(parts) < 2:
                continue
            if reason := _refusal(own, parts[1:], cli_verbs):
                yield Violation(path, line, "walls", reason)
