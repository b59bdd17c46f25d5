"""The pytest plugin, as a user's own pytest loads it: fixtures, the marker, and its mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

HEAD = """
import pytest
from pydantic import BaseModel
from tailrace import Service, Upstream, View, weak
from tailrace.testing import hang, html, reset, status

class Thing(BaseModel):
    id: str

things = Upstream("things", "http://things.invalid", timeout="800ms", retry=None)
service = Service("one", deadline="5s")

@service.view("/x")
class X(View):
    thing: Thing | None = weak(things.get("/x"))

ROUTES = {"/x": {"id": "7"}}
"""


def pytest_in(folder: Path, tests: str, *words: str) -> tuple[int, str]:
    (folder / "test_mine.py").write_text(HEAD + tests)
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--strict-markers",
            *words,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_a_story_is_one_case_per_fault(tmp_path: Path) -> None:
    code, out = pytest_in(
        tmp_path,
        """
@pytest.mark.upstream_story("things", hang(), html())
@pytest.mark.upstream_story("things", reset(), status(503))
def test_it(tailrace_plane, upstream_story):
    reply = tailrace_plane(service, things=ROUTES, clock="virtual").get("/x")
    assert reply.degraded == {"thing": upstream_story.reason}

def test_plain(tailrace_plane, upstream_story):
    assert upstream_story is None
    assert tailrace_plane(service, things=ROUTES, clock="virtual").get("/x").degraded == {}
""",
        "-vv",
    )
    assert code == 0, out
    names = ["things-hang", "things-html", "things-reset", "things-status-503"]
    assert all(f"test_it[{name}]" in out for name in names), out
    assert "5 passed" in out


def test_a_case_fails_when_the_service_does(tmp_path: Path) -> None:
    code, out = pytest_in(
        tmp_path,
        """
@pytest.mark.upstream_story("things", html())
def test_it(tailrace_plane):
    assert tailrace_plane(service, things=ROUTES, clock="virtual").get("/x").degraded == {}
""",
    )
    assert code == 1
    assert "content_type" in out


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (
            '@pytest.mark.upstream_story("things", hang())\ndef test_it(): pass',
            "add the fixture `tailrace_plane`",
        ),
        (
            '@pytest.mark.upstream_story("things", 500)\ndef test_it(tailrace_plane): pass',
            'write @pytest.mark.upstream_story("orders", hang(), reset())',
        ),
        (
            '@pytest.mark.upstream_story("thing", hang())\n'
            "def test_it(tailrace_plane): tailrace_plane(service, things=ROUTES)",
            "uses no upstream `thing`; did you mean `things`?",
        ),
        (
            '@pytest.mark.upstream_story("things")\ndef test_it(tailrace_plane): pass',
            "names no fault",
        ),
    ],
)
def test_mistakes_say_what_to_write(tmp_path: Path, tests: str, said: str) -> None:
    code, out = pytest_in(tmp_path, tests)
    assert code != 0
    assert said in out
