"""The live table: two services side by side, the P99 of each second as a line of bars.

The failure prevented: a collapse that is only seen in a summary afterwards. Redrawn a few times a
second by the story's own loop, without a thread; what happened is kept above it.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tailrace.cli._output import WIDTH
from tailrace.cli.demo.screens import HEAD, WIDTHS, Interval, cells, duration
from tailrace.cli.demo.stage import CLIENT_MS, SIDES
from tailrace.cli.demo.story import VICTIM

BARS: Final = "▁▂▃▄▅▆▇█"
BARS_MAX: Final = 52
# The bars' scale is logarithmic, from a fast reply to a client that has given up.
LOWEST_MS: Final = 5.0
INKS: Final = {"naive": "yellow", "governed": "cyan"}
EVENT_INKS: Final = {"fault": "bold red", "healed": "bold green"}
STATES: Final = {"fault": f"{VICTIM} hangs", "healed": "healed"}


def bar(milliseconds: float | None) -> str:
    """One character for a duration; a second without any reply is as bad as can be shown."""
    if milliseconds is None:
        return BARS[-1]
    span = math.log(CLIENT_MS / LOWEST_MS)
    place = math.log(max(milliseconds, LOWEST_MS) / LOWEST_MS) / span
    return BARS[min(len(BARS) - 1, int(place * len(BARS)))]


class LiveTable:
    """Draws on a terminal."""

    def __init__(self, total: float | None, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._total = total
        self._at = 0.0
        self._latest: dict[str, Interval] = {}
        self._bars: dict[str, deque[str]] = {side: deque(maxlen=BARS_MAX) for side in SIDES}
        self._state = "warming up"
        self._live: Live | None = None

    def say(self, text: str) -> None:
        self.console.print(Text(text))

    def event(self, at: float, text: str, kind: str) -> None:
        ink = EVENT_INKS.get(kind, "")
        self.console.print(Text(f"{'     ' if kind == 'reply' else f'{at:4.0f}s'} {text}", ink))
        self._state = STATES.get(kind, self._state)

    def interval(self, at: float, side: str, line: Interval) -> None:
        self._latest[side] = line
        self._bars[side].append(bar(line["p99_ms"]))
        if self._state == "warming up" and not line.get("warmup"):
            self._state = "healthy"
        self.tick(at)

    def tick(self, at: float) -> None:
        self._at = at
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self.picture(), refresh=True)

    def picture(self) -> RenderableType:
        """What stands on the screen now."""
        table = Table(box=None, padding=0, show_edge=False, pad_edge=False)
        for index, title in enumerate(HEAD):
            right: Any = "left" if index == 0 else "right"
            table.add_column(title, justify=right, width=WIDTHS[index], header_style="dim")
        for side in SIDES:
            line = self._latest.get(side)
            values = cells(side, line) if line else (side, *["-"] * (len(HEAD) - 1))
            table.add_row(*values, style=INKS[side])
        rows: list[RenderableType] = [Text(""), table, Text("")]
        for side in SIDES:
            label = Text(f"{side} p99".ljust(15), style="dim")
            rows.append(label + Text("".join(self._bars[side]), style=INKS[side]))
        scale = f"▁ below {duration(LOWEST_MS)}, █ {duration(CLIENT_MS)} or no reply, logarithmic"
        rows += [Text(" " * 15 + scale, style="dim"), Text(""), self._progress()]
        return Group(*rows)

    def _progress(self) -> RenderableType:
        if self._total is None:
            return Text(f"{self._at:4.0f} s  Ctrl-C ends the demo", style="dim")
        done = min(self._at, self._total)
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            ProgressBar(total=self._total, completed=done, width=WIDTH - 44),
            Text(f"{done:3.0f} of {self._total:.0f} s  {self._state}"),
        )
        return grid

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
