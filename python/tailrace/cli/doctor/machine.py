"""Checks of the machine: descriptors, accept backlog, CPUs, memory, clock.

The failure prevented: a limit of the system that is met under load and mistaken for one of the
service. Values are read where the kernel keeps them (/proc, /sys, cgroup v1 and v2); a system
without those files is said to be unknown, never guessed.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Final

from tailrace.cli.doctor.finding import Finding

# 4 096 client connections by default, upstream connections, and room.
DESCRIPTORS_WANTED: Final = 8192
DESCRIPTORS_LEAST: Final = 256
BACKLOG_WANTED: Final = 1024
MEMORY_WANTED: Final = 256 * 1024 * 1024
TICK_NS_MAX: Final = 1_000_000
CGROUP: Final = Path("/sys/fs/cgroup")


def descriptors() -> Finding:
    """Open files: each connection is one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{_limit(soft)} open files (hard limit {_limit(hard)})"
    if soft == resource.RLIM_INFINITY or soft >= DESCRIPTORS_WANTED:
        return Finding("descriptors", "ok", found)
    may = hard == resource.RLIM_INFINITY or hard >= DESCRIPTORS_WANTED
    fix = f"ulimit -n {DESCRIPTORS_WANTED}"
    if not may:
        fix = f"raise the hard limit: LimitNOFILE={DESCRIPTORS_WANTED} in the unit, or limits.conf"
    return Finding("descriptors", "fail" if soft < DESCRIPTORS_LEAST else "warn", found, fix)


def backlog() -> Finding:
    """Connections that may wait to be accepted."""
    text = _read(Path("/proc/sys/net/core/somaxconn"))
    if not text.isdecimal():
        return Finding("somaxconn", "ok", f"unknown on {platform.system()}")
    if int(text) >= BACKLOG_WANTED:
        return Finding("somaxconn", "ok", text)
    fix = f"sysctl -w net.core.somaxconn={BACKLOG_WANTED}"
    return Finding("somaxconn", "warn", f"{text}: bursts of connections are refused", fix)


def cpus() -> Finding:
    """CPUs this process may use: affinity, then the cgroup's quota."""
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    if quota is None:
        return Finding("cpus", "ok", f"{count} usable, no quota")
    found = f"{count} usable, quota {quota:g}"
    if quota < 1:
        fix = "give the container one whole CPU: a thread that is throttled waits up to 100 ms"
        return Finding("cpus", "warn", found, fix)
    return Finding("cpus", "ok", found)


def memory() -> Finding:
    """Memory the cgroup allows, else what the machine has."""
    limit = memory_limit()
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    allowed = whole if limit is None else min(limit, whole)
    found = f"{allowed // (1024 * 1024)} MiB" + (
        "" if limit is None or limit >= whole else " allowed by the cgroup"
    )
    if allowed >= MEMORY_WANTED:
        return Finding("memory", "ok", found)
    fix = f"allow at least {MEMORY_WANTED // (1024 * 1024)} MiB"
    return Finding("memory", "warn", found, fix)


def clock() -> Finding:
    """The clock deadlines are read from: every request reads it many times."""
    tick = time.get_clock_info("monotonic").resolution * 1e9
    source = _read(Path("/sys/devices/system/clocksource/clocksource0/current_clocksource"))
    found = f"monotonic, {tick:g} ns" + (f", source {source}" if source else "")
    if tick > TICK_NS_MAX:
        return Finding("clock", "fail", found, "deadlines need a clock finer than 1 ms")
    slow = source in ("hpet", "acpi_pm", "jiffies", "pit")
    if slow:
        fix = "boot with clocksource=tsc where the CPU has a stable one: each reading is a trap now"
        return Finding("clock", "warn", found, fix)
    return Finding("clock", "ok", found)


def cpu_quota() -> float | None:
    """CPUs of the cgroup's quota; the tightest group on the way to the root counts."""
    found: list[float] = []
    for folder in _groups(""):
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0].isdecimal():
            found.append(int(words[0]) / int(words[1]))
    for folder in _groups("cpu"):
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            found.append(int(quota) / int(period))
    return min(found, default=None)


def memory_limit() -> int | None:
    """Bytes the cgroup allows; the tightest group on the way to the root counts."""
    texts = [_read(folder / "memory.max") for folder in _groups("")]
    texts += [_read(folder / "memory.limit_in_bytes") for folder in _groups("memory")]
    return min((int(text) for text in texts if text.isdecimal()), default=None)


def _groups(controller: str) -> list[Path]:
    """Folders of this process's cgroup and its parents; "" means the one tree of version 2."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            root = CGROUP / controller if controller else CGROUP
            own = root / path.lstrip("/")
            parents = [one for one in [own, *own.parents] if one.is_relative_to(root)]
            # Inside a container the path may be the host's; then only the root is visible.
            return [one for one in parents if one.is_dir()] or [root]
    return []


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _limit(value: int) -> str:
    import resource

    return "unlimited" if value == resource.RLIM_INFINITY else str(value)
