"""The demo's three acts: healthy, one upstream hangs, healthy again.

The failure prevented: a percentile that mixes times with and without the fault. Each act is a load
run of its own against each service, so its figures hold exactly the requests that were meant to
start in it, also those that ended later. The fault is injected while nothing is due.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tailrace.cli._exit import Exit, Stop
from tailrace.cli._lab_admin import LabAdmin
from tailrace.cli._lab_board import Board
from tailrace.cli.demo.addresses import Addresses
from tailrace.cli.demo.children import Child, Children
from tailrace.cli.demo.stage import CLIENT_MS, SIDES, ask, load

if TYPE_CHECKING:
    from tailrace.cli.demo.screens import Screen

VICTIM: Final = "recommend"
FAULT: Final = {"kind": "hang"}
WARMUP_SECONDS: Final = 1.0
# Shares of the time: before the fault, during it, after it.
ACTS: Final = (("before", 0.5), ("during", 0.3), ("after", 0.2))
TICK_SECONDS: Final = 0.25
# Beyond the clients' own patience, for processes to start and end on a busy machine.
GRACE_SECONDS: Final = 20.0
HOLD_SECONDS: Final = 86_400.0
DEGRADED_TRIES: Final = 5


@dataclass(slots=True)
class Act:
    """One act: what each load printed at its end."""

    name: str
    seconds: float
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Story:
    """A run: its processes, its pace and what came of it."""

    children: Children
    at: Addresses
    screen: Screen
    board: Board
    rate: float
    seconds: float
    interval: float
    began: float = field(default_factory=time.monotonic)
    acts: list[Act] = field(default_factory=list)
    _running: dict[int, tuple[Act, str]] = field(default_factory=dict)
    _naive: Child | None = None

    def play(self) -> list[Act]:
        """Runs the three acts and returns their figures."""
        lab = LabAdmin(self.at.lab_admin)
        for index, (name, share) in enumerate(ACTS):
            act = Act(name, self.seconds * share)
            self.acts.append(act)
            if name == "during":
                lab.change(VICTIM, {"fault": FAULT})
                self.screen.event(self.elapsed, f"fault: {VICTIM} hangs", "fault")
            elif name == "after":
                lab.change(VICTIM, {"fault": None})
                self.screen.event(self.elapsed, f"healed: {VICTIM} answers again", "healed")
            self._play_act(act, WARMUP_SECONDS if index == 0 else 0.0)
        self._wait_for(lambda: all(len(act.summaries) == len(SIDES) for act in self.acts))
        return self.acts

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def _play_act(self, act: Act, warmup: float) -> None:
        for side in SIDES:
            self._load(act, side, seconds=act.seconds, warmup=warmup, interval=self.interval)
        if act.name == "during":
            self._show_degraded_reply()
        # The governed service's load ends with its schedule; the naive one's last replies may be
        # seconds away, and are waited for while the next act runs.
        self._wait_for(lambda: "governed" in act.summaries)

    def _load(self, act: Act, side: str, **options: float) -> Child:
        child = load(self.children, self.at, side, self.rate, **options)
        self._running[child.process.pid] = (act, side)
        return child

    def _show_degraded_reply(self) -> None:
        # On a busy machine a strong part may be the late one, and that reply shows something else.
        replies = (ask(self.at) for _ in range(DEGRADED_TRIES))
        reply = next((reply for reply in replies if reply.degraded), None)
        if reply is not None:
            text = f"governed answers {reply.status} in {reply.milliseconds:.0f} ms with the header"
            self.screen.event(self.elapsed, text, "reply")
            self.screen.event(self.elapsed, f"  Tailrace-Degraded: {reply.degraded}", "reply")

    def _wait_for(self, done: Callable[[], bool]) -> None:
        longest = max(act.seconds for act in self.acts)
        end = time.monotonic() + longest + WARMUP_SECONDS + CLIENT_MS / 1000 + GRACE_SECONDS
        while not done():
            if time.monotonic() > end:
                raise Stop(Exit.ENVIRONMENT, "error: the load did not end; is the machine asleep?")
            self._pump()

    def _pump(self) -> None:
        for child, line in self.children.lines(TICK_SECONDS):
            act, side = self._running.get(child.process.pid, (None, ""))
            if act is None:
                if line.get("type") == "wish":
                    self._unprotected(wanted=line["unprotected"])
                continue
            if line.get("type") == "summary":
                act.summaries[side] = line
            elif line.get("type") == "interval" and act is self.acts[-1]:
                self.screen.interval(self.elapsed, side, line)
                self.board.point(side, line)
        self.screen.tick(self.elapsed)

    def hold(self) -> None:
        """Load without end, so that faults from console or terminal can be watched."""
        self.acts = [Act("hold", HOLD_SECONDS)]
        self._endless("governed")
        self._unprotected(wanted=True)
        while True:
            self._pump()

    def _endless(self, side: str) -> Child:
        act = self.acts[-1]
        return self._load(act, side, seconds=HOLD_SECONDS, warmup=0, interval=self.interval)

    def _unprotected(self, *, wanted: bool) -> None:
        """The same load on the service without protections, or none: the console's switch."""
        if self.acts[-1].name != "hold" or wanted == (self._naive is not None):
            return
        if self._naive is None:
            self._naive = self._endless("naive")
        else:
            del self._running[self._naive.process.pid]
            self.children.end(self._naive)
            self._naive = None
        self.board.unprotected(on=wanted, can=True)
