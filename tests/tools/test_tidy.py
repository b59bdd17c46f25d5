"""The house rules hold here, and each rule catches what it is for."""

import json
import subprocess
from pathlib import Path

import pytest
import tidy
from house import rust
from house.tree import Tree
from sandbox import ROOT, Write

LONG = "x = 1  # " + "y" * 100 + "\n"
DOC = '"""Doc."""\n'
RUST_DOC = "//! Doc.\n"


def python_function(lines: int) -> str:
    return DOC + "def long():\n" + "    pass\n" * (lines - 1)


def rust_function(lines: int) -> str:
    return RUST_DOC + "fn long() {\n" + "    step();\n" * (lines - 2) + "}\n"


def manifest(name: str, *dependencies: str, table: str = "dependencies") -> str:
    rows = "".join(f'{other} = "1"\n' for other in dependencies)
    return f'[package]\nname = "{name}"\n[{table}]\n{rows}'


def crate(name: str, *dependencies: str, table: str = "dependencies") -> dict[str, str]:
    return {
        f"crates/{name}/Cargo.toml": manifest(name, *dependencies, table=table),
        f"crates/{name}/src/lib.rs": RUST_DOC,
    }


def package(modules: dict[str, str]) -> dict[str, str]:
    """Files of the package by path without suffix; each is named once, so none is dead."""
    files = {f"python/tailrace/{name}.py": DOC + text for name, text in modules.items()}
    return files | {"names.md": " ".join(Path(path).stem for path in files)}


def rules_broken(root: Path) -> set[str]:
    return {violation.rule for violation in tidy.violations(root)}


def test_this_repository_is_tidy() -> None:
    assert [str(violation) for violation in tidy.violations(ROOT)] == []


# Each row: a tree that breaks one rule once, the rule, and what the message must say.
BROKEN: list[tuple[dict[str, str], str, str]] = [
    ({"a.md": "a", "crates/x/src/lib.rs": RUST_DOC + "//" + "y" * 99 + "\n"}, "columns", "101"),
    ({"run.sh": "#!/bin/sh\n# Doc.\n" + LONG}, "columns", "at most 100"),
    ({"a.md": "long", "long.py": python_function(71)}, "length", "function long has 71"),
    ({"crates/x/src/lib.rs": rust_function(71)}, "length", "function long has 71"),
    ({"crates/x/src/lib.rs": RUST_DOC + "// a\n" * 400}, "length", "file has 401"),
    ({"test_a.py": DOC + "# a\n" * 400}, "length", "file has 401"),
    ({"crates/x/src/lib.rs": "fn a() {}\n"}, "doc", "no module doc"),
    ({"a.md": "doing", "doing.py": "x = 1\n"}, "doc", "no module doc"),
    (crate("tailrace-policy", "tokio"), "walls", "must not depend on tokio"),
    (crate("tailrace-policy", "tailrace-plane"), "walls", "must not depend on tailrace-plane"),
    (crate("tailrace-blueprint", "tailrace-plane"), "walls", "depend on tailrace-plane"),
    (crate("tailrace-plane", "tailrace-lab"), "walls", "must not depend on tailrace-lab"),
    (crate("tailrace-lab", "tailrace-plane"), "walls", "must not depend on tailrace-plane"),
    (
        crate("tailrace-lab", "tailrace-plane", table="dev-dependencies"),
        "walls",
        "must not depend on tailrace-plane",
    ),
    (crate("tailrace-plane", "pyo3"), "walls", "must not name pyo3"),
    (crate("tailrace-more"), "walls", "has no place"),
    ({"crates/x/src/lib.rs": RUST_DOC + "use pyo3::Python;\n"}, "walls", "only tailrace-python"),
    (package({"_lower": "from tailrace import _plane\n"}), "walls", "only _runtime and _lab"),
    (package({"_lower": "import tailrace._plane\n"}), "walls", "only _runtime and _lab"),
    (package({"_runtime": "from tailrace import service\n"}), "walls", "nothing of tailrace but"),
    (package({"service": "def f():\n    import tailrace.cli\n"}), "walls", "import a verb"),
    (package({"service": "from .audit import engine\n"}), "walls", "must not import a verb"),
    (package({"drill/run": "from tailrace.audit import engine\n"}), "walls", "the verb drill"),
    (
        package({"cli/serve": "from tailrace.cli import demo\n", "cli/demo": ""}),
        "walls",
        "the verb serve must not import the verb demo",
    ),
    (
        package({"cli/serve": "from tailrace.cli.demo import table\n", "cli/demo/table": ""}),
        "walls",
        "the verb serve must not import the verb demo",
    ),
    ({"a.md": "string_utils", "string_utils.py": DOC}, "names", "'utils' says nothing"),
    ({"docs/helpers/page.md": "a"}, "names", "'helpers' says nothing"),
    ({"notes.md": "see /ro" + "ot/notes"}, "places", "belongs to a machine"),
    ({"notes.md": "in /wo" + "rk/main"}, "places", "belongs to a machine"),
    ({"notes.md": "from https://py" + "pi.org/simple"}, "places", "or a registry"),
    ({"crates/x/src/lib.rs": RUST_DOC, "crates/x/src/lost.rs": RUST_DOC}, "dead", "no `mod` line"),
    ({"lost.py": DOC}, "dead", "nothing imports"),
    ({"page.md.orig": "a"}, "dead", "a leftover"),
    ({"uv.lock": "a"}, "locks", "uv.lock names hosts"),
    ({"Cargo.toml": "[workspace]\n"}, "locks", "Cargo.lock is missing"),
    ({"peer/go.mod": "module a\nrequire b v1\n"}, "locks", "go.sum is missing"),
    ({"requirements/run.in": "rich\n"}, "locks", "rich is not pinned"),
    (
        {"requirements/run.in": "rich\n", "requirements/run.txt": "rich==1\n"},
        "locks",
        "rich is pinned without a hash",
    ),
    (
        {"pyproject.toml": '[project]\ndependencies = ["rich>=2"]\n', "requirements/run.in": "\n"},
        "locks",
        "rich>=2 is in pyproject.toml",
    ),
    ({"tools/tidy_ratchet.json": '{"a.py": 500}'}, "ratchet", "remove it"),
]


@pytest.mark.parametrize(("files", "rule", "words"), BROKEN)
def test_a_broken_rule_is_found_alone(
    project: Write, files: dict[str, str], rule: str, words: str
) -> None:
    found = tidy.violations(project(files))
    assert [violation.rule for violation in found] == [rule], found
    assert words in str(found[0])


@pytest.mark.parametrize("word", ["tokio::spawn(x)", "Instant::now()", "fastrand::u64(..)"])
def test_a_policy_is_pure_outside_its_tests(project: Write, word: str) -> None:
    files = crate("tailrace-policy", "serde")
    lib = "crates/tailrace-policy/src/lib.rs"
    inside = f"{RUST_DOC}// {word}\n#[cfg(test)]\nmod tests {{\n    fn t() {{ {word}; }}\n}}\n"
    assert tidy.violations(project(files | {lib: inside})) == []
    outside = f'{inside}fn after() {{ let t = "fn {{"; {word}; }}\n'
    assert rules_broken(project({lib: outside})) == {"walls"}


def test_what_is_within_the_rules_passes(project: Write) -> None:
    root = project(
        {
            **crate("tailrace-policy", "serde"),
            **crate("tailrace-python", "tailrace-plane", "tailrace-lab", "pyo3"),
            **package(
                {
                    "_runtime": "from tailrace import _plane\n",
                    "cli/__init__": "import tailrace.cli.serve\nfrom tailrace import service\n",
                    "cli/serve": "from tailrace.cli import _output\n",
                    "cli/_output": "",
                    "service": "from tailrace import _runtime\n",
                }
            ),
            "crates/tailrace-plane/src/lib.rs": RUST_DOC + "mod deep;\n",
            "crates/tailrace-plane/src/deep/mod.rs": RUST_DOC + "#[cfg(test)]\nmod tests;\n",
            "crates/tailrace-plane/src/deep/tests.rs": rust_function(70),
            "requirements/run.in": "# why\nrich>=1\n",
            "requirements/run.txt": "rich==1 \\\n    --hash=sha256:00\n",
            "Cargo.toml": "[workspace]\n",
            "Cargo.lock": "# lock\n",
        }
    )
    assert tidy.violations(root) == []


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_the_ratchet_only_goes_down(project: Write) -> None:
    def state(lines: int, allowed: int) -> Path:
        ratchet = json.dumps({"test_big.py": allowed})
        return project(
            {"test_big.py": DOC + "# a\n" * (lines - 1), "tools/tidy_ratchet.json": ratchet}
        )

    root = state(lines=500, allowed=500)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "the start")
    assert tidy.violations(root) == []
    assert rules_broken(state(lines=501, allowed=500)) == {"length"}
    assert rules_broken(state(lines=501, allowed=501)) == {"ratchet"}
    assert rules_broken(state(lines=450, allowed=500)) == {"ratchet"}
    assert rules_broken(state(lines=450, allowed=450)) == set()
    git(root, "commit", "-qam", "lower")
    assert rules_broken(state(lines=460, allowed=460)) == {"ratchet"}


def test_git_ignores_what_the_project_ignores(project: Write) -> None:
    root = project({".gitignore": "built/\n", "built/lost.py": "x = 1\n", "new.py": "x = 1\n"})
    git(root, "init", "-q")
    assert Tree(root).paths == [".gitignore", "new.py"]


RUST_SAMPLE = """
// fn commented() {
/* fn nested() { /* { */ } */
fn first<'a>(x: &'a str, sign: [u8; 2]) -> char {
    let text = "} \\" {";
    let raw = r#"fn no() { "quoted" "#;
    '{'
}
trait Shape { fn bodiless(&self) -> [u8; 4]; }
async fn second() { loop {} }
"""


def test_rust_functions_are_measured_past_strings_and_comments() -> None:
    assert rust.functions(RUST_SAMPLE) == [("first", 4, 5), ("second", 10, 1)]


def test_blanking_keeps_every_position() -> None:
    blanked = rust.bare(RUST_SAMPLE)
    assert len(blanked) == len(RUST_SAMPLE)
    assert blanked.count("\n") == RUST_SAMPLE.count("\n")
    assert "quoted" not in blanked
    assert "nested" not in blanked


def test_main_says_how_much_is_wrong(project: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert tidy.main([str(project({"uv.lock": "a"}))]) == 1
    assert "1 violations" in capsys.readouterr().out
