"""The event loop of the Python thread: it waits in the plane.

The failure prevented: four turns of a loop, each with a system call, for what one turn can do. On
any other loop the bridge is one more descriptor: its reader starts tasks, which the loop runs in
its next turn, and what these send crosses in the turn after that. Here the wait itself hands over
what was sent and takes what has come, so that tasks start, futures wake and answers cross within
the turn that was woken. Everything else of the loop is asyncio's own.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tailrace._pump import Bridge, Compute, forks, refuse_to_go_on

Deliver: TypeAlias = Callable[[list[tuple[Any, ...]]], None]
log = logging.getLogger("tailrace")


class PlaneSelector(selectors.BaseSelector):
    """Watches what the loop asks for, and the bridge with it."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._others = selectors.DefaultSelector()
        self._descriptor = self._others.fileno()
        self._forks = forks()
        self.deliver: Deliver | None = None
        """Given what has come for Python, before the loop's next turn."""
        self.compute: Compute | None = None
        """Makes computed fields; called where the loop waits."""
        self.loop: asyncio.AbstractEventLoop | None = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._others.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._others.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._others.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        deliver = self.deliver
        if deliver is None:
            return self._others.select(timeout)
        if forks() != self._forks:  # A child would take what is meant for its parent.
            refuse_to_go_on()
        seconds = -1.0 if timeout is None else max(0.0, timeout)
        # Looked at to see whether the code of a field has asked something of its loop; a loop that
        # does not show it gets its turn after each batch.
        asked = getattr(self.loop, "_ready", None), getattr(self.loop, "_scheduled", None)
        events, ready = self._bridge.turn(
            seconds, self._descriptor, self.compute, None if None in asked else asked
        )
        if events:
            try:
                deliver(events)
            except Exception:  # The loop must not end with it.
                log.exception("what came for Python could not be delivered")
        return self._others.select(0) if ready else []

    def close(self) -> None:
        self._others.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._others.get_map()


def plane_loop(bridge: Bridge) -> tuple[asyncio.AbstractEventLoop, PlaneSelector]:
    """A loop that waits in the plane once its selector has something to deliver to."""
    selector = PlaneSelector(bridge)
    selector.loop = asyncio.SelectorEventLoop(selector)
    return selector.loop, selector
