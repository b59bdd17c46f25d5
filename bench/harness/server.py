"""One started peer: its process tree, its cores, its processor time and its memory.

A server that dies, never answers or outlives its run would turn into a wrong number, so readiness
is a real reply, death is an error that shows the log, and leaving the block ends the whole session
that was started here and nothing else. Processor time is the scheduler's own nanosecond count of
every thread (user and system together), checked against the kernel's per-process total so that
threads which came and went are not lost.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.machine import BenchError

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CpuTime:
    """Nanoseconds of one process tree, counted in two ways."""

    threads_ns: int
    process_ns: int

    def since(self, before: CpuTime) -> int:
        """What was used since `before`: thread counts, unless threads ended in between."""
        threads = self.threads_ns - before.threads_ns
        process = self.process_ns - before.process_ns
        lost = process - threads
        return process if lost > 30_000_000 and lost > threads * 0.03 else threads


class Server:
    """A running peer."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def pids(self) -> list[int]:
        """The process and all its descendants."""
        found: list[int] = []
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    waiting.extend(int(child) for child in children.read_text().split())
        return found

    def cpu(self) -> CpuTime:
        """Processor time used so far by the whole tree."""
        threads = process = 0
        for pid in self.pids():
            for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    threads += int(stat.read_text().split()[0])
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                process += (int(fields[11]) + int(fields[12])) * TICK_NS
        return CpuTime(threads, process)

    def memory_kib(self) -> dict[str, int]:
        """Resident (Rss) and proportional (Pss) memory of the tree."""
        total = {"rss": 0, "pss": 0}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    name, _, rest = line.partition(":")
                    if name.lower() in total:
                        total[name.lower()] += int(rest.split()[0])
        return total

    def log_tail(self) -> str:
        """The last lines it printed, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])

    def must_live(self) -> None:
        """Fail with the log when the process has ended."""
        if self.process.poll() is not None:
            raise BenchError(f"the peer ended with {self.process.returncode}:\n{self.log_tail()}")

    def wait_ready(self, limit_s: float = 30.0) -> None:
        """Wait for the first whole reply of the view itself."""
        url = f"http://127.0.0.1:{self.port}/api/orders/1"
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            self.must_live()
            try:
                with urllib.request.urlopen(url, timeout=2) as reply:
                    reply.read()
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise BenchError(f"no reply from {url} within {limit_s:.0f} s:\n{self.log_tail()}")

    def stop(self) -> None:
        """End the session started for this peer: politely, then for certain."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def running(
    argv: Sequence[str],
    *,
    port: int,
    cores: set[int],
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Server]:
    """Start a peer on its cores and end it, whatever happens, when the block is left."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            argv,
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    server = Server(process, port, log)
    try:
        yield server
    finally:
        server.stop()
