"""What a served plane shows of the demo's lab, and the wishes for it that come over the admin port.

The failure prevented: a page that must reach other ports, or a fault that is shown before it is
there. The console knows one address, the plane's own; this thread reads the lab's state and the
load's figures and hands them to the plane, which answers `GET /lab` with them. A wish
(`POST /lab`, with the admin token) goes to the lab, and what the lab then says is the answer.

The demo and the process it serves from share a file: `Board` writes it, `LabBoard` reads it. A
service that no demo started has no such file, and nothing of this.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from tailrace.cli._exit import Stop
from tailrace.cli._lab_admin import LabAdmin
from tailrace.cli._output import emit_json

VARIABLE: Final = "TAILRACE_LAB_BOARD"
LOOK_SECONDS: Final = 0.5
"""Between two looks at the lab."""
JOIN_SECONDS: Final = 6.0
POINTS_MAX: Final = 90
"""Figures kept by service: what the console's chart shows, and some."""
WISH_KEYS: Final = ({"upstream", "fault"}, {"unprotected"})

Json: TypeAlias = dict[str, Any]


class Board:
    """The demo's side: what the load measured, newest last."""

    def __init__(self, path: Path, lab_admin: str, client_ms: float) -> None:
        self._path = path
        self._lab_admin = lab_admin
        self._client_ms = client_ms
        self._points: dict[str, deque[Json]] = {}
        self._unprotected = {"on": True, "can": False}
        self.write()

    def point(self, side: str, line: Json) -> None:
        """Takes one interval of the load on `side`. One without replies while clients wait is as
        bad as their patience."""
        p99 = line["p99_ms"]
        if p99 is None and line["in_flight"]:
            p99 = self._client_ms
        # `done` is what was answered, also with an error; the others ended without an answer.
        unanswered = line["failed"] + line["timed_out"] + line["unsent"]
        ended = max(1, line["done"] + unanswered)
        point = {
            "at_s": time.monotonic(),
            "p99_ms": p99,
            "rate": line["rate"],
            "errors": line["errors"] / ended,
            "degraded": line["degraded"] / ended,
        }
        self._points.setdefault(side, deque(maxlen=POINTS_MAX)).append(point)
        self.write()

    def unprotected(self, *, on: bool, can: bool) -> None:
        """Whether the service without protections has load, and whether that can be changed."""
        self._unprotected = {"on": on, "can": can}
        self.write()

    def write(self) -> None:
        """Whole or not at all: a reader sees the board before or after."""
        load = {side: list(self._points.get(side, ())) for side in ("naive", "governed")}
        told = {"lab_admin": self._lab_admin, "unprotected": self._unprotected, "load": load}
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(told))
        beside.replace(self._path)


class LabBoard:
    """The served process's side."""

    def __init__(self, path: Path, show: Callable[[bytes], None], deadline_ms: float) -> None:
        self._path = path
        self._show = show
        self._deadline_ms = deadline_ms
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tailrace-lab-board", daemon=True)
        self._thread.start()

    @classmethod
    def around(cls, plane: Any, blueprint: Json) -> LabBoard | None:
        """The board of the lab that this process runs in, if it runs in one."""
        path = os.environ.get(VARIABLE)
        if not path:
            return None
        deadline = max((view["deadline_ms"] for view in blueprint["views"]), default=0)
        return cls(Path(path), plane.show_lab, deadline)

    def end(self) -> None:
        """Shows no more; a look under way is waited for."""
        self._ended.set()
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            # A lab that is not there yet, or no longer: what was shown last stays.
            with suppress(Stop, OSError, ValueError):
                self.state()

    def state(self) -> Json:
        """What the lab does now; the plane shows it from here on."""
        board = json.loads(self._path.read_text())
        state = {
            "format_version": 1,
            "deadline_ms": self._deadline_ms,
            "unprotected": board["unprotected"],
            "load": {"now_s": time.monotonic(), **board["load"]},
            "upstreams": LabAdmin(board["lab_admin"]).state(),
        }
        self._show(json.dumps(state).encode())
        return state

    def wish(self, body: bytes) -> tuple[int, Json]:
        """Carries a wish out; the answer is the lab's state afterwards, or why nothing changed."""
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as wrong:
            return 400, {"error": f"the body is not JSON: {wrong}"}
        if not isinstance(asked, dict) or set(asked) not in WISH_KEYS:
            shape = 'a wish is {"upstream": NAME, "fault": FAULT or null} or {"unprotected": BOOL}'
            return 400, {"error": shape}
        try:
            refused = self._carry_out(asked)
            return (409, {"error": refused}) if refused else (200, self.state())
        except Stop as stop:
            return 400, {"error": stop.message.removeprefix("error: ")}
        except (OSError, ValueError) as error:
            return 503, {"error": f"the lab does not answer: {error}"}

    def _carry_out(self, asked: Json) -> str:
        """Does it; says why not when it cannot be done."""
        board = json.loads(self._path.read_text())
        if "unprotected" in asked:
            if not board["unprotected"]["can"]:
                return "the measured run needs both services; demo --hold takes wishes after it"
            # The demo reads what its children print.
            emit_json({"type": "wish", "unprotected": asked["unprotected"] is True})
            return ""
        lab = LabAdmin(board["lab_admin"])
        known = [row["name"] for row in lab.state()]
        if asked["upstream"] not in known:
            return f"there is no such upstream; there are: {', '.join(known)}"
        lab.change(asked["upstream"], {"fault": asked["fault"]})
        return ""
