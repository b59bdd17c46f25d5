"""Handlers that go on after they were told to end.

The failure prevented: a handler that swallows its cancellation, or blocks its thread, and whose
places are gone one by one while nothing says which it is. Whoever still runs a while after the
plane has cancelled it is named once, in the log and in `tailrace_handler_overdue` (RELIABILITY
A09). Costs a timer while anybody is late, and nothing else. Limit: it runs on the handlers' loop;
one that holds the loop is named by `_stalls` instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tailrace._pump import Bridge

GRACE_S: Final = 1.0
log = logging.getLogger("tailrace")


class Overdue:
    """Looks again at what was cancelled; `running` says which handler a ticket is still in."""

    def __init__(
        self,
        bridge: Bridge,
        loop: asyncio.AbstractEventLoop,
        running: Callable[[int], tuple[int, str] | None],
    ) -> None:
        self._bridge = bridge
        self._loop = loop
        self._running = running
        self._told: dict[int, float] = {}
        self._looking = False

    def told(self, ticket: int) -> None:
        """This request's handler was cancelled now."""
        self._told[ticket] = self._loop.time() + GRACE_S
        self._look_later()

    def ended(self, ticket: int) -> None:
        """It has ended."""
        self._told.pop(ticket, None)

    def _look_later(self) -> None:
        if self._told and not self._looking:
            self._looking = True
            self._loop.call_later(GRACE_S, self._look)

    def _look(self) -> None:
        self._looking = False
        now = self._loop.time()
        # Told in the order of their time, and so kept.
        late = [ticket for ticket, due in self._told.items() if due <= now]
        for ticket in late:
            del self._told[ticket]
            found = self._running(ticket)
            if found is not None:
                view, name = found
                self._bridge.overdue(view)
                log.warning(
                    "handler `%s` still runs %g s after it was cancelled: its place is taken until"
                    " it ends",
                    name,
                    GRACE_S,
                )
        self._look_later()
