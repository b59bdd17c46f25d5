"""The demo's processes, and everything they say.

The failure prevented: a demo that leaves a server behind. Every child is known by its handle, lives
in a session of its own (a Ctrl-C in the terminal reaches only the demo, which ends them in order),
and ends with the `with` block; on Linux the kernel ends it too when the demo is killed. Waiting
happens in one place, which also sees signals and children that end when they should not. One
thread, so no lock and no race.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from tailrace.cli._exit import Exit, Stop

END_SECONDS: Final = 3.0
LINE_BYTES_MAX: Final = 1 << 20
WORDS_SHOWN: Final = 6
_PR_SET_PDEATHSIG: Final = 1
_CODES: Final = {
    signal.SIGINT: Exit.INTERRUPTED,
    signal.SIGTERM: Exit.TERMINATED,
    signal.SIGHUP: Exit.TERMINATED,
}

Line = dict[str, Any]


class Child:
    """One process that speaks JSON lines."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path, ends: bool) -> None:
        self.name = name
        self.process = process
        self.log = log
        self.ends = ends
        self.ended = False
        self._buffer = b""

    def read(self) -> list[Line]:
        """The whole lines that arrived; notes the end of its output."""
        assert self.process.stdout is not None
        chunk = os.read(self.process.stdout.fileno(), 65_536)
        self.ended = not chunk
        self._buffer += chunk
        *whole, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > LINE_BYTES_MAX:
            raise Stop(Exit.ENVIRONMENT, f"error: {self.name} printed an endless line")
        return [json.loads(line) for line in whole if line.startswith(b"{")]

    def last_words(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()
            return "\n".join(f"  {line}" for line in lines[-WORDS_SHOWN:])
        return ""


class Children:
    """All of them; leaving the block ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._all: list[Child] = []
        self._started = 0
        self._selector = selectors.DefaultSelector()
        self._received: signal.Signals | None = None
        self._wake_read, self._wake_write = os.pipe()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Children:
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        for number in _CODES:
            self._before[number] = signal.signal(number, self._note)
        signal.set_wakeup_fd(self._wake_write)
        return self

    def _note(self, number: int, _frame: object) -> None:
        """Only remembered: a process is never started or ended by halves."""
        self._received = self._received or signal.Signals(number)

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        ends: bool = False,
    ) -> Child:
        """Starts a process; `ends` says that it ends by itself."""
        self._started += 1
        log = self.folder / f"{self._started}-{name}.log"
        # Nothing of the user's own service may reach the demo's.
        clean = {key: one for key, one in os.environ.items() if not key.startswith("TAILRACE_")}
        with log.open("wb") as sink:
            process = subprocess.Popen(
                arguments,
                cwd=self.folder,
                env={**clean, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                start_new_session=True,
                # The demo has one thread.
                preexec_fn=partial(_end_with, os.getpid()),  # noqa: PLW1509
            )
        child = Child(name, process, log, ends)
        self._all.append(child)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, child)
        return child

    def lines(self, seconds: float) -> list[tuple[Child, Line]]:
        """What was said, waiting at most `seconds` for it. Raises `Stop` on a signal, and when a
        child ended that should not have."""
        found: list[tuple[Child, Line]] = []
        for key, _ in self._selector.select(max(0.0, seconds)):
            child = key.data
            if child is None:
                os.read(self._wake_read, 4096)
                continue
            found += [(child, line) for line in child.read()]
            if child.ended:
                self._over(child)
        if self._received is not None:
            # Told after the block has ended, when it is true.
            raise Stop(_CODES[self._received], "stopped; everything the demo started has ended")
        return found

    def ready(self, children: Sequence[Child], patience: float) -> dict[str, Line]:
        """The ready line of each of `children`, by name."""
        end = time.monotonic() + patience
        found: dict[str, Line] = {}
        while missing := [one.name for one in children if one.name not in found]:
            left = end - time.monotonic()
            if left <= 0:
                words = next(one for one in children if one.name == missing[0]).last_words()
                message = f"error: {missing[0]} was not ready after {patience:g} s\n{words}"
                raise Stop(Exit.ENVIRONMENT, message.rstrip())
            for child, line in self.lines(left):
                if line.get("ready"):
                    found[child.name] = line
        return found

    def _over(self, child: Child) -> None:
        self._selector.unregister(child.process.stdout)  # type: ignore[arg-type]
        code = self._reap(child, END_SECONDS)
        # The load says with 4 that it was itself the limit; its summary says so too.
        if self._received is None and not (child.ends and code in (Exit.OK, Exit.INVALID)):
            how = f"signal {-code}" if code < 0 else f"code {code}"
            words = child.last_words()
            message = f"error: {child.name} ended by itself with {how}\n{words}".rstrip()
            raise Stop(Exit.ENVIRONMENT, message)

    def _reap(self, child: Child, patience: float) -> int:
        try:
            code = child.process.wait(patience)
        except subprocess.TimeoutExpired:
            child.process.kill()
            code = child.process.wait()
        if child.process.stdout is not None:
            child.process.stdout.close()
        self._all = [one for one in self._all if one is not child]
        return code

    def end(self, child: Child) -> None:
        """Ends one child."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(child.process.stdout)  # type: ignore[arg-type]
        child.process.terminate()
        self._reap(child, END_SECONDS)

    def __exit__(self, *_: object) -> None:
        """Asks all to end, last started first, then insists. Signals no longer interrupt."""
        for child in reversed(self._all):
            child.process.terminate()
        end = time.monotonic() + END_SECONDS
        for child in reversed(list(self._all)):
            self._reap(child, max(0.0, end - time.monotonic()))
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


def _c_library() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


_LIBC: Final = _c_library()


def _end_with(parent: int) -> None:
    """In the child, before it runs: the kernel ends it when the demo is gone."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # It was gone before the kernel had been told.
            os._exit(1)
