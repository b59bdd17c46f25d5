#!/usr/bin/env python3
"""The stub of the native module against the one its Rust code generates: `make stubs`.

Prevents a hand-written type that was right once: stubtest compares names and arguments with the
built module, which knows no types. maturin writes the types that pyo3 sees; they are wider than
what we pass (`SupportsIndex` where `int` is meant) and say nothing of a list's items, so ours stay,
and each must fit the generated one.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = ROOT / "python/tailrace/_plane.pyi"
NARROWER = {"SupportsIndex": "int", "SupportsFloat": "float"}


@dataclass(frozen=True)
class Said:
    """One function, method or property: its arguments, and what it returns."""

    kind: str
    arguments: tuple[tuple[str, ast.expr | None, bool], ...]
    """Name, type, and whether it may be left out."""
    result: ast.expr | None


def read(text: str) -> dict[str, Said]:
    """Everything a stub says, by dotted name."""
    found: dict[str, Said] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            inner = [one for one in node.body if isinstance(one, ast.FunctionDef)]
            found.update({f"{node.name}.{one.name}": said(one) for one in inner})
        elif isinstance(node, ast.FunctionDef) and node.name != "__getattr__":
            found[node.name] = said(node)
    return found


def said(node: ast.FunctionDef) -> Said:
    """A definition without `self`."""
    decorators = {one.id for one in node.decorator_list if isinstance(one, ast.Name)}
    every = [*node.args.posonlyargs, *node.args.args]
    required = len(every) - len(node.args.defaults)
    rows = tuple(
        (one.arg, one.annotation, at >= required)
        for at, one in enumerate(every)
        if one.arg not in ("self", "cls")
    )
    return Said("property" if "property" in decorators else "function", rows, node.returns)


def members(kind: ast.expr) -> list[ast.expr]:
    """The members of a union; one for anything else."""
    if isinstance(kind, ast.BinOp):
        return [*members(kind.left), *members(kind.right)]
    return [kind]


def plain(kind: ast.expr) -> ast.expr:
    """A generated type as we would write it: `int` for what can be one, `bytes` and `list` for what
    can be read by index."""
    if isinstance(kind, ast.BinOp):
        written = [ast.unparse(plain(one)) for one in members(kind)]
        if "float" in written:
            written = [one for one in written if one != "int"]
        return ast.parse(" | ".join(dict.fromkeys(written)), mode="eval").body
    if isinstance(kind, ast.Name):
        return ast.Name(NARROWER.get(kind.id, kind.id))
    if not isinstance(kind, ast.Subscript):
        return kind
    inner = kind.slice.elts if isinstance(kind.slice, ast.Tuple) else [kind.slice]
    written = [ast.unparse(plain(one)) for one in inner]
    name = ast.unparse(kind.value)
    if name == "SupportsGetItem":
        text = "bytes" if written[1] == "int" else f"list[{written[1]}]"
    else:
        text = f"{name}[{', '.join(written)}]"
    return ast.parse(text, mode="eval").body


def fits(ours: ast.expr, generated: ast.expr) -> bool:
    """Whether our type is the generated one, or says more of a list's items."""
    if isinstance(generated, ast.Name) and generated.id == "list":
        return ast.unparse(ours).startswith("list[")
    left, right = members(ours), members(generated)
    if len(left) > 1 or len(right) > 1:
        same = len(left) == len(right)
        return same and all(any(fits(one, other) for one in left) for other in right)
    if not (isinstance(ours, ast.Subscript) and isinstance(generated, ast.Subscript)):
        return ast.unparse(ours) == ast.unparse(generated)
    pair = []
    for one in (ours, generated):
        pair.append(one.slice.elts if isinstance(one.slice, ast.Tuple) else [one.slice])
    same = ast.unparse(ours.value) == ast.unparse(generated.value) and len(pair[0]) == len(pair[1])
    return same and all(fits(*both) for both in zip(*pair, strict=True))


def differences(ours: dict[str, Said], generated: dict[str, Said]) -> Iterator[str]:
    """What of our stub is not what the code says."""
    for name in sorted(generated.keys() - ours.keys()):
        yield f"{name}: in the module, not in the stub"
    for name in sorted(ours.keys() - generated.keys()):
        yield f"{name}: in the stub, not in the module"
    for name in sorted(ours.keys() & generated.keys()):
        mine, its = ours[name], generated[name]
        if mine.kind != its.kind:
            yield f"{name}: {mine.kind} in the stub, {its.kind} in the module"
        here = [(argument, optional) for argument, _, optional in mine.arguments]
        if here != [(argument, optional) for argument, _, optional in its.arguments]:
            yield f"{name}: other arguments: {[argument for argument, _ in here]}"
            continue
        kinds = [("returns", mine.result, its.result)]
        for (argument, kind, _), (_, other, _) in zip(mine.arguments, its.arguments, strict=True):
            kinds.append((argument, kind, other))
        for what, kind, other in kinds:
            if kind is None or other is None or not fits(kind, plain(other)):
                shown = [ast.unparse(one) if one else "nothing" for one in (kind, other)]
                yield f"{name}, {what}: {shown[0]} in the stub, {shown[1]} in the module"


def generate(folder: Path) -> str:
    """The stub that maturin writes; a build of its own, kept in `target/stubs`."""
    features = "pyo3/experimental-inspect,pyo3/abi3-py311"
    subprocess.run(
        [
            *(ROOT / ".venv/bin/maturin", "generate-stubs", "--quiet", "--locked"),
            *("--profile", "dev", "--features", features, "-i", sys.executable, "--out", folder),
        ],
        cwd=ROOT,
        env={**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target/stubs")},
        check=True,
    )
    return next(folder.rglob("_plane.pyi")).read_text(encoding="utf-8")


def main(argv: list[str]) -> int:
    """Generate, compare, print what differs; 1 when anything does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--generated", type=Path, help="a stub that was generated before")
    options = parser.parse_args(argv)
    if options.generated is None:
        text = generate(ROOT / "target/stubs/written")
    else:
        text = options.generated.read_text(encoding="utf-8")
    ours, generated = read(OURS.read_text(encoding="utf-8")), read(text)
    wrong = list(differences(ours, generated))
    for line in wrong:
        print(line)
    print(f"stubs: {len(generated)} generated definitions, {len(wrong)} differences")
    return 1 if wrong or not generated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
