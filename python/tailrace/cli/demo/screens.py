"""Where the demo's figures appear: a live table, plain lines, or JSON lines.

The failure prevented: a moving picture in a log file. Without a terminal there are plain lines
every few seconds and no escape byte; with ``--json`` one object per line. All three show the same
figures, as the load printed them.
"""

from __future__ import annotations

import sys
from typing import Any, Final, Protocol

from tailrace.cli._output import emit_json
from tailrace.cli.demo.stage import SIDES

Interval = dict[str, Any]

HEAD: Final = ("", "rate/s", "p50", "p95", "p99", "errors", "degraded", "waiting")
WIDTHS: Final = (10, 8, 9, 9, 9, 8, 9, 8)


class Screen(Protocol):
    """What the story tells."""

    def say(self, text: str) -> None: ...

    def event(self, at: float, text: str, kind: str) -> None: ...

    def interval(self, at: float, side: str, line: Interval) -> None: ...

    def tick(self, at: float) -> None: ...

    def close(self) -> None: ...


def duration(milliseconds: float | None) -> str:
    """Three figures and a unit; nothing for what has no samples."""
    if milliseconds is None:
        return "-"
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 100 else f"{milliseconds:.1f} ms"


def cells(side: str, line: Interval) -> tuple[str, ...]:
    """One row of figures."""
    return (
        side,
        f"{line['rate']:.0f}",
        duration(line["p50_ms"]),
        duration(line["p95_ms"]),
        duration(line["p99_ms"]),
        str(line["errors"]),
        str(line["degraded"]),
        str(line["in_flight"]),
    )


def row(values: tuple[str, ...]) -> str:
    first, *rest = values
    shown = f"{first:<{WIDTHS[0]}}"
    return shown + "".join(f"{one:>{WIDTHS[n + 1]}}" for n, one in enumerate(rest))


class Plain:
    """Lines, for logs and pipes."""

    def __init__(self) -> None:
        self._headed = False
        self._held: dict[str, str] = {}

    def say(self, text: str) -> None:
        print(text, flush=True)

    def event(self, at: float, text: str, kind: str) -> None:
        self._print_rows()
        self.say(f"{'     ' if kind == 'reply' else f'{at:4.0f}s'} {text}")
        self._headed = False

    def interval(self, at: float, side: str, line: Interval) -> None:
        if side in self._held:
            self._print_rows()
        self._held[side] = f"{at:4.0f}s " + row(cells(side, line))
        if len(self._held) == len(SIDES):
            self._print_rows()

    def tick(self, at: float) -> None:
        """Time passes silently."""

    def close(self) -> None:
        self._print_rows()

    def _print_rows(self) -> None:
        """Both services one below the other, always in the same order."""
        if self._held and not self._headed:
            self.say("  at  " + row(HEAD))
            self._headed = True
        for side in SIDES:
            if side in self._held:
                self.say(self._held.pop(side))


class JsonLines:
    """One object per line."""

    def say(self, text: str) -> None:
        """Talk goes to the person."""
        print(text, file=sys.stderr, flush=True)

    def event(self, at: float, text: str, kind: str) -> None:
        emit_json({"type": kind, "at_s": round(at, 3), "text": text.strip()})

    def interval(self, at: float, side: str, line: Interval) -> None:
        # The load's own clock starts anew with each act; `at_s` is the demo's.
        emit_json({**line, "at_s": round(at, 3), "service": side})

    def tick(self, at: float) -> None:
        """Time passes silently."""

    def close(self) -> None:
        """Nothing is held."""
