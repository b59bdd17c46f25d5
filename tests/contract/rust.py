"""Reads the blueprint crate's source: the other side of the contract.

The failure prevented: a kind that one side knows and the other does not. Enum variants and struct
fields are found by their text, with serde's renames applied; the crate is plain enough for that,
and `test_the_source_is_read` fails when it stops being so.
"""

import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "crates" / "tailrace-blueprint" / "src"


def text() -> str:
    return "\n".join(path.read_text() for path in sorted(SOURCE.glob("*.rs")))


def body(kind: str, name: str) -> str:
    """What stands between the braces of `pub enum Name` or `pub struct Name`, without comments."""
    source = re.sub(r"//[^\n]*", "", text())
    found = re.search(rf"pub {kind} {name}\s*\{{", source)
    assert found is not None, f"no {kind} {name} in {SOURCE}"
    depth, start = 1, found.end()
    at = start
    while depth:
        depth += {"{": 1, "}": -1}.get(source[at], 0)
        at += 1
    return source[start : at - 1]


def outer(inner: str) -> str:
    """`inner` without attributes and without what nested brackets hold."""
    plain, depth = "", 0
    for char in re.sub(r"#\[[^\]]*\]", "", inner):
        depth -= char in "})>]"
        if depth == 0:
            plain += char
        depth += char in "{(<["
    return plain


def variants(name: str) -> set[str]:
    """Variants in snake case, as serde writes them."""
    found = re.findall(r"\b([A-Z][A-Za-z0-9]*)", outer(body("enum", name)))
    return {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", one).lower() for one in found}


def fields(name: str) -> set[str]:
    """Fields of a struct under the names serde uses."""
    inner = body("struct", name)
    found = set(re.findall(r"pub (\w+):", inner))
    renamed = re.findall(r'rename = "(\w+)"\)\]\s*pub (\w+):', inner)
    return (found - {old for _, old in renamed}) | {new for new, _ in renamed}


def variant_fields(name: str) -> dict[str, set[str]]:
    """Fields of each variant of an enum of structs."""
    inner = body("enum", name)
    inner = re.sub(r"#\[[^\]]*\]", "", inner)
    found = {}
    for variant, text_ in re.findall(r"([A-Z]\w*)\s*\{([^}]*)\}", inner):
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", variant).lower()
        found[snake] = set(re.findall(r"(\w+):", text_))
    return found


def defaults(name: str) -> dict[str, float]:
    """The numbers in `impl Default for Name`."""
    found = re.search(rf"impl Default for {name} \{{.*?Self \{{(.*?)\}}", text(), re.DOTALL)
    assert found is not None, f"no defaults of {name}"
    return {key: float(value) for key, value in re.findall(r"(\w+): ([0-9._]+)", found[1])}
