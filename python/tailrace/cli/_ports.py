"""Who holds a port, and which one is free.

The failure prevented: "address already in use" without the process that uses it. The owner is read
from /proc where there is one; another user's processes stay unnamed, and so does everything on
systems without /proc.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Final

_LISTENING: Final = "0A"
NEARBY: Final = 20
HIGHEST: Final = 65_535


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now; an address that is not ours counts as free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def next_free(port: int, host: str = "127.0.0.1") -> int | None:
    """A free port a little above `port`."""
    above = range(port + 1, min(port + NEARBY, HIGHEST) + 1)
    return next((one for one in above if is_free(one, host)), None)


def owner(port: int) -> str:
    """`pid 4123 (python3)` of who listens on `port`, or nothing when that cannot be known."""
    inodes = _listening(port)
    if not inodes:
        return ""
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            held = {str(link.readlink()) for link in (process / "fd").iterdir()}
            name = (process / "comm").read_text().strip()
        except OSError:
            continue
        if held & sockets:
            return f"pid {process.name} ({name})"
    return ""


def in_use(port: int, host: str, option: str) -> str:
    """The one line about a taken port."""
    whom = owner(port)
    free = next_free(port, host)
    return (
        f"error: {host}:{port} is in use"
        + (f" by {whom}" if whom else "")
        + (f"; try {option} {free}" if free else f"; choose another with {option}")
    )


def _listening(port: int) -> set[str]:
    """Inodes of the sockets that listen on `port`."""
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if columns[1].endswith(f":{port:04X}") and columns[3] == _LISTENING:
                found.add(columns[9])
    return found
