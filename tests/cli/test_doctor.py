"""`doctor`: every finding that is not ok carries its fix."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

import pytest
from running import TAILRACE, Run, clean_environment
from tailrace.cli.doctor import machine
from tailrace.cli.doctor.finding import Finding


def free_ports() -> tuple[str, ...]:
    """Ports nobody takes in a test: the verb only looks, and 1 and 2 are free on any machine."""
    return ("--port", "1", "--admin-port", "2")


def test_every_check_is_there_and_the_code_follows(run: Run) -> None:
    ended = run("doctor", "--json", *free_ports())
    found = json.loads(ended.out)
    names = [check["name"] for check in found["checks"]]
    assert names == [
        *("python", "plane", "descriptors", "somaxconn", "cpus", "memory"),
        *("port 1", "port 2", "clock"),
    ]
    failed = [check for check in found["checks"] if check["status"] == "fail"]
    assert ended.code == (3 if failed else 0)
    assert found["ok"] is not bool(failed)
    assert all(bool(check["fix"]) is (check["status"] != "ok") for check in found["checks"])


def test_text_fits_and_counts(run: Run) -> None:
    ended = run("doctor", *free_ports())
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("ok    python ")
    assert " ok, " in lines[-1]


def test_too_few_descriptors_fail_with_the_fix(folder: Path) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

    ended = subprocess.run(
        [*TAILRACE, "doctor", "--json", *free_ports()],
        cwd=folder,
        env=clean_environment(),
        preexec_fn=few,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    checks = {check["name"]: check for check in json.loads(ended.stdout)["checks"]}
    assert checks["descriptors"]["status"] == "fail"
    assert checks["descriptors"]["found"] == "128 open files (hard limit 128)"
    assert "LimitNOFILE=8192" in checks["descriptors"]["fix"]


def test_a_finding_without_a_fix_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="a fix belongs"):
        Finding("x", "warn", "bad")
    with pytest.raises(ValueError, match="a fix belongs"):
        Finding("x", "ok", "good", "do nothing")


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up /sys/fs/cgroup, and a process in `/pod/app` of it."""
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    real = machine._read

    def read(path: Path) -> str:
        return (tmp_path / "self").read_text() if path == Path("/proc/self/cgroup") else real(path)

    monkeypatch.setattr(machine, "_read", read)
    return tmp_path


def test_the_tightest_group_counts(cgroup: Path) -> None:
    (cgroup / "self").write_text("0::/pod/app\n")
    (cgroup / "pod" / "app").mkdir(parents=True)
    (cgroup / "pod" / "cpu.max").write_text("50000 100000\n")
    (cgroup / "pod" / "app" / "cpu.max").write_text("max 100000\n")
    (cgroup / "pod" / "memory.max").write_text("134217728\n")
    (cgroup / "pod" / "app" / "memory.max").write_text("max\n")
    assert machine.cpu_quota() == 0.5
    assert machine.memory_limit() == 128 * 1024 * 1024
    assert machine.cpus().status == "warn"
    assert machine.memory().status == "warn"
    assert machine.memory().found == "128 MiB allowed by the cgroup"


def test_version_one_groups_are_read(cgroup: Path) -> None:
    (cgroup / "self").write_text("4:cpu,cpuacct:/app\n3:memory:/app\n")
    (cgroup / "cpu" / "app").mkdir(parents=True)
    (cgroup / "cpu" / "app" / "cpu.cfs_quota_us").write_text("200000\n")
    (cgroup / "cpu" / "app" / "cpu.cfs_period_us").write_text("100000\n")
    (cgroup / "memory").mkdir()
    (cgroup / "memory" / "memory.limit_in_bytes").write_text("1073741824\n")
    assert machine.cpu_quota() == 2
    assert machine.memory_limit() == 1 << 30


def test_no_group_means_no_limit(cgroup: Path) -> None:
    (cgroup / "self").write_text("")
    assert machine.cpu_quota() is None
    assert machine.memory_limit() is None
