"""Where a number was measured, so that nobody compares two machines by accident.

The environment block names the processor, kernel, tool versions, source revision and command line.
It also holds the two cores of the method: the service under test gets the first usable core, load
and upstreams get the second, and a machine with fewer than two cores is refused.
"""

from __future__ import annotations

import datetime
import os
import platform
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
WORK = BENCH / ".work"


class BenchError(Exception):
    """The run cannot go on; the message says what to change."""


@dataclass(frozen=True)
class Cores:
    """Which core serves and which one asks."""

    sut: int
    load: int

    @property
    def both(self) -> set[int]:
        """Every core of the method, for the scaling measure."""
        return {self.sut, self.load}


def choose_cores() -> Cores:
    """The first two usable cores, or an error: sharing one core measures the scheduler."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchError("the benchmark needs two usable cores, one serves and one asks")
    return Cores(sut=usable[0], load=usable[1])


def allow_many_files(wanted: int = 32768) -> None:
    """Raise the soft limit of open files: 5 000 idle connections are 5 000 descriptors here too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < ceiling:
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))


def first_line(*command: str) -> str | None:
    """The first line a tool prints about itself, or None when it is not here."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    text = (done.stdout or done.stderr).strip()
    return text.splitlines()[0] if text else None


def cpu_model() -> str:
    """The processor as the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def congestion_control() -> str | None:
    """How the kernel paces TCP: it is part of the cost of every message, for every peer."""
    setting = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    return setting.read_text().strip() if setting.exists() else None


def environment(cores: Cores) -> dict[str, Any]:
    """Everything a reader needs to judge, or to repeat, the run."""
    dirty = first_line("git", "status", "--porcelain", "--untracked-files=no")
    return {
        "cpu": cpu_model(),
        "cores_usable": len(os.sched_getaffinity(0)),
        "core_sut": cores.sut,
        "core_load": cores.load,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "tcp_congestion_control": congestion_control(),
        "python": platform.python_version(),
        "load_average_at_start": [round(value, 2) for value in os.getloadavg()],
        "git_sha": first_line("git", "rev-parse", "HEAD"),
        "git_dirty": dirty is not None,
        "command": ["python3", f"bench/{Path(sys.argv[0]).name}", *sys.argv[1:]],
        "versions": {
            "cc": first_line("cc", "--version"),
            "rustc": first_line("rustc", "--version"),
            "go": first_line("go", "version"),
            "nginx": first_line("nginx", "-v"),
        },
    }


def described(kind: str, cores: Cores, settings: dict[str, Any]) -> dict[str, Any]:
    """The head of a result file: what was measured, when, where and how."""
    return {
        "kind": kind,
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": environment(cores),
        "settings": settings,
    }


def heading(result: dict[str, Any]) -> str:
    """The head as a sentence, for the table that is made of the result."""
    machine = result["environment"]
    return (
        f"`{' '.join(machine['command'])}` on {result['measured_at'][:10]}, "
        f"revision `{(machine['git_sha'] or 'unknown')[:12]}`: {machine['cpu']}, "
        f"Linux {machine['kernel']}, one core for the service and one for load and upstreams"
    )
