"""What people get wrong, and what they are told: each file in `mistakes/` is one mistake.

The first line says what the user did, `$` is the command, `~` changes the good service (`old ->
new`), `! no service` takes it away, and `--- NAME` starts a file of the user's folder. From `=== N`
on stands the exit code and everything that is printed. `pytest --update-snapshots` writes that
section anew; its diff is what gets reviewed.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from running import SERVICE, TAILRACE, Run, clean_environment

MISTAKES = Path(__file__).parent / "mistakes"
CASES = sorted(MISTAKES.glob("*.txt"))
LEAST = 25


@dataclass
class Mistake:
    """One file, read."""

    given: str
    expected: str
    env: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Mistake:
    text = path.read_text()
    given, mark, rest = text.partition("\n=== ")
    mistake = Mistake(given, mark.lstrip("\n") + rest)
    service: str | None = SERVICE
    name = ""
    for line in given.splitlines()[1:]:
        if line.startswith("$ "):
            for word in shlex.split(line[2:]):
                key, equals, value = word.partition("=")
                if equals and key.isupper() and not mistake.words:
                    mistake.env[key] = value
                else:
                    mistake.words.append(word)
        elif line == "! no service":
            service = None
        elif line.startswith("~ "):
            assert service is not None
            old, _, new = line[2:].partition(" -> ")
            assert service.count(old) == 1, f"{path.name}: {old!r} is not there once"
            service = service.replace(old, new)
        elif line.startswith("--- "):
            name = line[4:]
            mistake.files[name] = ""
        else:
            mistake.files[name] += line + "\n"
    assert mistake.words.pop(0) == "tailrace"
    if service is not None:
        mistake.files.setdefault("service.py", service)
    return mistake


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_a_mistake_is_answered_as_expected(
    path: Path, run: Run, folder: Path, update_snapshots: bool
) -> None:
    mistake = read(path)
    (folder / "service.py").unlink()
    for name, text in mistake.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    ended = run(*mistake.words, env=mistake.env)
    assert ended.out == ""
    said = f"=== {ended.code}\n{ended.err}".replace(str(folder), "FOLDER")
    if update_snapshots:
        path.write_text(f"{mistake.given}\n{said}")
        return
    assert said == mistake.expected
    assert "Traceback" not in said
    ours = [line for line in said.splitlines() if line.startswith(("error: ", "  help: "))]
    assert all(len(line) <= 80 for line in ours)


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= LEAST


@pytest.mark.e2e
def test_a_port_in_use_names_its_owner_and_a_free_one(run: Run) -> None:
    """`error: 127.0.0.1:8080 is in use by pid 4123 (python3); try --port 8081`"""
    program = (
        "import socket, sys\n"
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        port = int(holder.stdout.readline())
        ended = run("serve", "service.py", "--port", str(port), "--admin-port", "0")
        admin = run("serve", "service.py", "--port", "0", "--admin-port", str(port))
        holder.communicate()
    assert ended.code == 3
    lead = f"error: 127.0.0.1:{port} is in use by pid {holder.pid} (python"
    assert ended.err.startswith(lead)
    assert ended.err.count("\n") == 1
    tried = int(ended.err.rpartition("; try --port ")[2])
    assert tried > port
    assert admin.err.startswith(lead)
    assert "; try --admin-port " in admin.err


@pytest.mark.e2e
def test_what_is_not_a_lab_is_said_to_be_none(run: Run) -> None:
    """Something else on the lab's port must not be taken for one."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        address = f"127.0.0.1:{stranger.getsockname()[1]}"
        asking = subprocess.Popen(
            [*TAILRACE, "fault", "users", "--hang", "--admin", address],
            env=clean_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        with asking:
            connection, _ = stranger.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"220 mail.example.org ready\r\n")
            _, said = asking.communicate()
    assert asking.returncode == 3
    assert said == (f"error: what answers at {address} is not a lab; name its port with --admin\n")
