"""stdout is data, stderr is talk, colour is for terminals."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from running import TAILRACE, Run, clean_environment

ESCAPE = "\x1b"


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("explain", "service.py"),
        ("explain", "service.py", "--origin"),
        ("explain", "TR104"),
        ("doctor",),
        ("serv",),
        ("serve", "nowhere:service"),
        ("explain", "broken.py"),
    ],
)
def test_a_pipe_gets_no_escape_byte(words: tuple[str, ...], run: Run, folder: Path) -> None:
    (folder / "broken.py").write_text("from tailrace import Service\nservice = Service('x')\n")
    ended = run(*words)
    assert ESCAPE not in ended.out + ended.err
    assert ended.out or ended.err


def broken(folder: Path) -> None:
    text = (folder / "service.py").read_text()
    (folder / "service.py").write_text(text.replace('timeout="80ms"', "timeout=80"))


def test_colour_when_it_is_asked_for(run: Run, folder: Path) -> None:
    broken(folder)
    words = ("explain", "service.py")
    assert ESCAPE in run(*words, "--color", "always").err
    assert ESCAPE in run(*words, "--color=always").err
    assert ESCAPE in run(*words, env={"FORCE_COLOR": "1"}).err
    assert ESCAPE in run(*words, env={"TAILRACE_COLOR": "always"}).err
    assert ESCAPE not in run(*words, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).err
    assert ESCAPE not in run(*words, "--color", "never", env={"FORCE_COLOR": "1"}).err


def on_a_terminal(folder: Path, *words: str, **env: str) -> str:
    """What a terminal gets on stderr."""
    own, theirs = pty.openpty()
    with subprocess.Popen(
        [*TAILRACE, *words],
        cwd=folder,
        env=clean_environment({"TERM": "xterm", **env}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ):
        os.close(theirs)
        said = b""
        while True:
            try:
                chunk = os.read(own, 65_536)
            except OSError:  # Linux ends a terminal this way.
                break
            if not chunk:
                break
            said += chunk
    os.close(own)
    return said.decode()


def test_a_terminal_gets_colour_unless_told_otherwise(folder: Path) -> None:
    broken(folder)
    words = ("explain", "service.py")
    assert ESCAPE in on_a_terminal(folder, *words)
    assert ESCAPE not in on_a_terminal(folder, *words, NO_COLOR="1")
    assert ESCAPE not in on_a_terminal(folder, *words, TERM="dumb")
    assert ESCAPE not in on_a_terminal(folder, *words, "--color", "never")


def test_errors_are_data_too(run: Run, folder: Path) -> None:
    ended = run("explain", "TR999", "--json")
    error = json.loads(ended.out)
    assert error["format_version"] == 1
    assert error["error"]["exit_code"] == ended.code == 2
    assert error["error"]["message"] == "there is no code TR999"
    broken(folder)
    ended = run("--json", "explain", "service.py")
    problems = json.loads(ended.out)["error"]["problems"]
    assert [problem["code"] for problem in problems] == ["TR001"]
    assert problems[0]["line"] == 15
    assert "error[TR001]" in ended.err


def test_json_by_environment(run: Run) -> None:
    assert json.loads(run("explain", "TR104", env={"TAILRACE_JSON": "1"}).out)["code"] == "TR104"
    assert run("explain", "TR104", env={"TAILRACE_JSON": "0"}).out.startswith("TR104: ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_failure(folder: Path, unbuffered: str) -> None:
    """`tailrace explain --codes | head -1`"""
    with subprocess.Popen(
        [*TAILRACE, "explain", "--codes"],
        cwd=folder,
        env=clean_environment({"PYTHONUNBUFFERED": unbuffered}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")


INTERNAL = """
import sys
import tailrace.cli.doctor
def broken(): raise ValueError("it\\nbroke")
tailrace.cli.doctor.ours.python = broken
from tailrace.cli import main
main(sys.argv[1:])
"""


def internal(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", INTERNAL, "doctor", *words],
        env=clean_environment({"TMPDIR": str(folder)}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_internal_error_says_whose_it_is_and_keeps_the_traceback(folder: Path) -> None:
    ended = internal(folder)
    assert ended.returncode == 70
    lines = ended.stderr.splitlines()
    assert lines[0] == "error: internal: ValueError: it"
    assert lines[1] == "  This is a mistake in tailrace, not in your service."
    assert lines[2].startswith("  version    tailrace ")
    assert lines[3] == "  command    tailrace doctor"
    kept = Path(lines[4].removeprefix("  traceback  "))
    assert kept.parent == folder
    assert "Traceback" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0
    assert "Traceback" not in ended.stderr
    verbose = internal(folder, "-v")
    assert verbose.returncode == 70
    assert "in broken" in verbose.stderr
    assert json.loads(internal(folder, "--json").stdout)["error"]["exit_code"] == 70
