"""The plane from Python: start it, wait for signals, drain it.

The only importer of ``_plane`` besides ``_lab``. Signals are taken by ``sigwait`` on the main
thread, so a running service never wakes the interpreter: declared views enter it zero times per
request.
"""

from __future__ import annotations

import atexit
import importlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any


def _load_native() -> None:
    """Loads the native module in a thread that does not end.

    Its allocator takes the thread that loads it for the process's first, and relies on that
    thread's state for ever (mimalloc 3.3). Loaded by one that ends, such as a worker of a thread
    pool, it would crash in the next. What an import raises there is raised again below.
    """
    loaded = threading.Event()

    def load_and_stay() -> None:
        try:
            importlib.import_module("tailrace._plane")
        except ImportError:
            return
        finally:
            loaded.set()
        threading.Event().wait()

    if threading.current_thread() is not threading.main_thread():
        threading.Thread(target=load_and_stay, name="tailrace-native", daemon=True).start()
        loaded.wait()


_load_native()

from tailrace import _plane  # noqa: E402 - only now

__all__ = [
    "Clock",
    "Engine",
    "Plane",
    "PlaneError",
    "Running",
    "asked_seconds",
    "build_info",
    "catalogue",
    "check_blueprint",
    "end_engine",
    "engine",
    "probe_traces",
    "problems",
]

Engine = _plane.Engine
Plane = _plane.Plane
PlaneError = _plane.PlaneError


class Clock:
    """The plane's time in the hands of a test; in nanoseconds."""

    start = staticmethod(_plane.clock_start)
    stop = staticmethod(_plane.clock_stop)
    read = staticmethod(_plane.clock_read)
    reads = staticmethod(_plane.clock_reads)
    next = staticmethod(_plane.clock_next)
    advance = staticmethod(_plane.clock_advance)
    settle = staticmethod(_plane.clock_settle)


_engines: set[Engine] = set()
"""Clients' workers that run."""

_ENDING = {signal.SIGINT, signal.SIGTERM}
_SIGNALS = _ENDING | {signal.SIGHUP}


def check_blueprint(blueprint: bytes) -> list[tuple[str, str, str]]:
    """Problems of a blueprint as (path, message, help); empty when the plane can run it."""
    return _plane.check_blueprint(blueprint)


def build_info() -> dict[str, str]:
    """Version and cargo profile of the native module."""
    version, profile = _plane.build_info()
    return {"version": version, "profile": profile}


def engine(blueprint: Mapping[str, Any]) -> Engine:
    """The workers of a client; the end of the interpreter ends them while it still can."""
    started = Engine(json.dumps(blueprint).encode())
    if not _engines:
        atexit.register(_end_engines)
    _engines.add(started)
    return started


def end_engine(started: Engine) -> None:
    """Ends a client's workers; waits a few seconds at most."""
    _engines.discard(started)
    started.end()


def _end_engines() -> None:
    if _engines:
        logging.getLogger("tailrace").warning(
            "%d tailrace.Client left open at exit: its calls are dropped; "
            "use it as `async with tailrace.Client(...) as client`",
            len(_engines),
        )
    while _engines:
        _engines.pop().end()


def asked_seconds(name: bytes, value: bytes) -> float | None:
    """How long a caller says it waits, by one header of its request, in seconds."""
    return _plane.asked_seconds(name, value)


def probe_traces(blueprint: bytes) -> tuple[str, str]:
    """Sends one span to the blueprint's collector: `taken`, `refused`, `left_out` or `silent`, and
    the trace id, the status or the reason. Raises `PlaneError` when none can be asked."""
    return _plane.probe_traces(blueprint)


def problems() -> list[tuple[str, str, int, str]]:
    """Every problem a client can get, as (scope, code, status, detail)."""
    return _plane.problems()


def catalogue() -> list[dict[str, Any]]:
    """Every event with its metrics and log fields."""
    found: list[dict[str, Any]] = json.loads(_plane.catalogue())
    return found


def _is_terminal() -> bool:
    """Whether stderr is a terminal that is still there."""
    try:
        return os.isatty(2)
    except OSError:
        return False


class Running:
    """A served blueprint and the signals that end it.

    Signals are blocked before the plane's threads start, so that those inherit the mask and only
    ``sigwait`` on this thread ever sees them.
    """

    def __init__(
        self,
        blueprint: bytes,
        origins: Mapping[str, str] | None = None,
        *,
        openapi: bytes = b"",
        docs: bytes = b"",
    ) -> None:
        self._terminal = _is_terminal()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            told = json.dumps(dict(origins or {})).encode()
            self.plane = Plane(blueprint, told, openapi, docs)
        except BaseException:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            raise

    def wait_for_signal(self) -> signal.Signals:
        """Blocks until SIGINT or SIGTERM arrives. SIGHUP asks for the config file to be read again,
        unless it says that the terminal is gone, which ends the service as SIGTERM does."""
        while True:
            received = signal.Signals(signal.sigwait(_SIGNALS))
            if received in _ENDING:
                return received
            if self._terminal and not _is_terminal():
                return signal.SIGTERM
            self.plane.ask_reload("SIGHUP")

    def drain(self, seconds: float, tell: Callable[[int, float], None]) -> int | None:
        """Drains for at most ``seconds``; a second signal stops at once.

        ``tell(in_flight, seconds_left)`` is called about once a second. Returns how many requests
        were cut off, or None when a worker did not end and nobody knows. The plane has a timer of
        its own, so that its workers have ended says nothing about their requests.
        """
        self.plane.drain()
        end = time.monotonic() + seconds
        while not self.plane.wait(0.0):
            left = end - time.monotonic()
            if left <= 0:
                break
            tell(self.plane.in_flight, left)
            if self._pause(min(end, time.monotonic() + 1.0)):
                break
        ended = self.stop()
        return self.plane.cut_off if ended else None

    def _pause(self, until: float) -> bool:
        """Waits for the workers; True when they have ended or a signal came first."""
        while time.monotonic() < until:
            if self.plane.wait(0.05) or signal.sigtimedwait(_ENDING, 0) is not None:
                return True
        return False

    def stop(self) -> bool:
        """Ends the plane now; False when a worker did not end.

        Signals work again afterwards: whatever still holds the process, the next one ends it.
        """
        ended = self.plane.end()
        while signal.sigtimedwait(_SIGNALS, 0) is not None:
            pass  # Sent while the plane ended, which is what they asked for.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return ended
