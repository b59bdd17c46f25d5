"""The plane from Python: start it, wait for signals, drain it.

The only importer of ``_plane`` besides ``_lab``. Signals are taken by ``sigwait`` on the main
thread, so a running service never wakes the interpreter: declared views enter it zero times per
request.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping

from tailrace import _plane

__all__ = ["Plane", "PlaneError", "Running", "build_info", "check_blueprint"]

Plane = _plane.Plane
PlaneError = _plane.PlaneError

_SIGNALS = {signal.SIGINT, signal.SIGTERM}


def check_blueprint(blueprint: bytes) -> list[tuple[str, str, str]]:
    """Problems of a blueprint as (path, message, help); empty when the plane can run it."""
    return _plane.check_blueprint(blueprint)


def build_info() -> dict[str, str]:
    """Version and cargo profile of the native module."""
    version, profile = _plane.build_info()
    return {"version": version, "profile": profile}


class Running:
    """A served blueprint and the signals that end it.

    Signals are blocked before the plane's threads start, so that those inherit the mask and only
    ``sigwait`` on this thread ever sees them.
    """

    def __init__(self, blueprint: bytes, origins: Mapping[str, str] | None = None) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self.plane = Plane(blueprint, json.dumps(dict(origins or {})).encode())
        except BaseException:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            raise

    def wait_for_signal(self) -> signal.Signals:
        """Blocks until SIGINT or SIGTERM arrives."""
        return signal.Signals(signal.sigwait(_SIGNALS))

    def drain(self, seconds: float, tell: Callable[[int, float], None]) -> bool:
        """Drains for at most ``seconds``; a second signal stops at once.

        ``tell(in_flight, seconds_left)`` is called about once a second. Returns True when every
        request in flight finished.
        """
        self.plane.drain()
        end = time.monotonic() + seconds
        while not self.plane.wait(0.0):
            left = end - time.monotonic()
            if left <= 0:
                break
            tell(self.plane.in_flight, left)
            until = min(end, time.monotonic() + 1.0)
            while time.monotonic() < until:
                if self.plane.wait(0.05):
                    return True
                if signal.sigtimedwait(_SIGNALS, 0) is not None:
                    self.stop()
                    return False
        finished = self.plane.wait(0.0)
        self.stop()
        return finished

    def stop(self) -> None:
        """Ends the plane now and waits for its threads."""
        self.plane.stop()
        self.plane.wait(5.0)
