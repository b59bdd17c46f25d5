"""The requirements report finds citations where they count, and insists on what is done."""

from pathlib import Path

import pytest
from house.tree import Tree
from sandbox import ROOT, Write

import requirements

PAGE = "| id | what |\n|---|---|\n| 4.3 | A limit. |\n| 4.4 | Another. |\n| 9.1a | Rates. |\n"
CODE = "//! Limits (req 4.3, 4.4 and 9.1a).\n"
TESTS = "#[cfg(test)]\nmod tests {\n    // req 4.3\n    fn t() {}\n}\n"


def tree(project: Write, done: str, **files: str) -> Path:
    pages = {requirements.IDS: PAGE, requirements.DONE: done}
    return project(pages | {path.replace("__", "/"): text for path, text in files.items()})


def collected(root: Path) -> dict[str, tuple[list[str], list[str]]]:
    found, unknown = requirements.collect(Tree(root))
    assert unknown == []
    return {name: (one.code, one.test) for name, one in found.items()}


def test_code_and_tests_are_told_apart(project: Write) -> None:
    root = tree(
        project,
        "4.3",
        **{
            "crates/a/src/lib.rs": CODE + TESTS + "#[cfg(test)]\nmod more;\n",
            "crates/a/src/more.rs": "// req 4.4\n",
            "crates/a/tests/wire.rs": "// req 4.4\n",
            "tests/test_b.py": "# Req 9.1a\n",
            "docs/page.md": "req 4.3\n",
            "bench/run.py": "# req 4.3\n",
        },
    )
    lib = "crates/a/src/lib.rs"
    assert collected(root) == {
        "4.3": ([f"{lib}:1"], [f"{lib}:4"]),
        "4.4": ([f"{lib}:1"], ["crates/a/src/more.rs:1", "crates/a/tests/wire.rs:1"]),
        "9.1a": ([f"{lib}:1"], ["tests/test_b.py:1"]),
    }


def test_the_naive_aggregation_honours_nothing_it_breaks(project: Write) -> None:
    root = tree(project, "", **{requirements.COUNTER_EXAMPLE + "mod.rs": "//! Breaks req 4.3.\n"})
    assert collected(root)["4.3"] == ([], [])


@pytest.mark.parametrize(
    ("code", "test", "complaints"),
    [
        (CODE, TESTS, []),
        (CODE, "", ["no test cites `req 4.3`"]),
        ("//! None.\n", TESTS, ["no code cites `req 4.3`"]),
        ("//! None.\n", "", ["no code cites `req 4.3`", "no test cites `req 4.3`"]),
        (CODE + "// req 99.1\n", TESTS, ["cites req 99.1"]),
    ],
)
def test_what_is_done_needs_code_and_test(
    project: Write,
    capsys: pytest.CaptureFixture[str],
    code: str,
    test: str,
    complaints: list[str],
) -> None:
    root = tree(project, "4.3  # done\n", **{"crates/a/src/lib.rs": code + test})
    assert requirements.main(["--check", "--root", str(root)]) == (1 if complaints else 0)
    lines = capsys.readouterr().out.splitlines()[:-1]
    assert len(lines) == len(complaints)
    for line, words in zip(lines, complaints, strict=True):
        assert words in line


def test_an_unlisted_done_id_is_refused(project: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert requirements.main(["--check", "--root", str(tree(project, "7.7"))]) == 1
    assert "7.7 is not listed" in capsys.readouterr().out


def test_a_page_without_ids_is_refused(project: Write) -> None:
    assert requirements.main(["--check", "--root", str(project({requirements.IDS: "none"}))]) == 1


def test_the_report_names_what_is_open(project: Write, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(project, "", **{"crates/a/src/lib.rs": "//! req 4.3\n" + TESTS})
    assert requirements.main(["--root", str(root)]) == 0
    out = capsys.readouterr().out
    assert "4.3    ok" in out
    assert "4.4    open" in out
    assert out.endswith("requirements: 1 with code and test, 0 in part, 2 open\n")


def test_every_done_id_of_this_repository_has_code_and_test() -> None:
    assert requirements.main(["--check", "--root", str(ROOT)]) == 0


def test_what_is_still_open_of_an_id_makes_it_part(
    project: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(project, "4.3", **{"crates/a/src/lib.rs": CODE + TESTS})
    (root / requirements.OPEN).write_text("# Why.\n4.3   the audit\n", encoding="utf-8")
    assert requirements.main(["--root", str(root)]) == 0
    out = capsys.readouterr().out
    assert "4.3    part" in out
    assert "         open  the audit\n" in out
    assert out.endswith("requirements: 0 with code and test, 3 in part, 0 open\n")
    (root / requirements.OPEN).write_text("7.7 nothing\n", encoding="utf-8")
    assert requirements.main(["--check", "--root", str(root)]) == 1
    assert "7.7 is not listed" in capsys.readouterr().out
