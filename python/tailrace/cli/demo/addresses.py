"""Ports of the demo: the usual ones, or free ones when those are taken.

The failure prevented: a demo that cannot start because a service runs on 8080. A port the user
named is taken as named, or is an error that says who holds it; a usual port that is taken is
replaced and said so. A replacement stays bound here while the demo runs, where the system lets a
child listen on it all the same (Linux): two demos that start together never choose the same one.
"""

from __future__ import annotations

import random
import secrets
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from tailrace.cli._exit import Exit, Stop
from tailrace.cli._ports import in_use, is_free, owner

UPSTREAMS: Final = ("orders", "users", "inventory", "coupons", "recommend")
HOST: Final = "127.0.0.1"
USUAL: Final = {
    "port": 8080,
    "admin_port": 9900,
    "naive_port": 8090,
    "lab_port": 9101,
    "lab_admin_port": 9109,
}
_FREE_RANGE: Final = (20_000, 30_000)
_TRIES: Final = 200


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens."""

    port: int
    admin_port: int
    naive_port: int
    lab_port: int
    lab_admin_port: int
    notes: list[str] = field(default_factory=list)
    # What a change of faults from the console must carry; of this run only.
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    held: ExitStack = field(default_factory=ExitStack, repr=False)
    """Keeps replacements ours; closed when the demo has ended."""

    @property
    def governed(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def admin(self) -> str:
        return f"http://{HOST}:{self.admin_port}"

    @property
    def console(self) -> str:
        """The console with the token: behind `#`, which a browser sends to nobody."""
        return f"{self.admin}/#token={self.token}"

    @property
    def naive(self) -> str:
        return f"http://{HOST}:{self.naive_port}"

    @property
    def lab_admin(self) -> str:
        return f"{HOST}:{self.lab_admin_port}"

    def upstreams(self) -> dict[str, str]:
        """`host:port` by upstream."""
        return {name: f"{HOST}:{self.lab_port + n}" for n, name in enumerate(UPSTREAMS)}


def choose(given: dict[str, int | None]) -> Addresses:
    """The ports of a run; `given` names the options that were used."""
    chosen: dict[str, int] = {}
    notes: list[str] = []
    held = ExitStack()
    for name, usual in USUAL.items():
        wanted = given.get(name)
        port = usual if wanted is None else wanted
        width = len(UPSTREAMS) if name == "lab_port" else 1
        taken = next((one for one in range(port, port + width) if not is_free(one)), None)
        if port == 0 or (taken is not None and wanted is None):
            chosen[name] = _free_block(width, held)
            if taken is not None and port:
                whom = owner(taken)
                used = f"in use by {whom}" if whom else "in use"
                notes.append(f"note: port {taken} is {used}; taking {chosen[name]} instead")
        elif taken is not None:
            raise Stop(Exit.ENVIRONMENT, in_use(taken, HOST, f"--{name.replace('_', '-')}"))
        else:
            chosen[name] = port
    return Addresses(**chosen, notes=notes, held=held)  # type: ignore[arg-type]


def _free_block(width: int, held: ExitStack) -> int:
    """The first of `width` free ports in a row; held together while they are tried."""
    for _ in range(_TRIES):
        base = random.randrange(*_FREE_RANGE)  # noqa: S311 - not a secret
        with ExitStack() as tried:
            try:
                for port in range(base, base + width):
                    probe = tried.enter_context(socket.socket())
                    probe.bind((HOST, port))
                    # From here on a child may listen, and nobody else may be given the port.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            except OSError:
                continue
            if sys.platform == "linux":
                held.push(tried.pop_all())
            return base
    raise Stop(Exit.ENVIRONMENT, f"error: found no {width} free ports in a row")
