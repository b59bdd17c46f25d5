"""The plane for `async` tests.

The failure prevented: a test that holds its own event loop while it waits for a reply, and with it
the tasks that the reply may depend on. Each wait has a thread; the plane is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tailrace.testing.replies import Reply
from tailrace.testing.upstream import FakeUpstream
from tailrace.typing import Duration

if TYPE_CHECKING:
    from tailrace.testing.plane import TestPlane


class AsyncTestPlane:
    """The same for `async` tests: requests are awaited and do not hold the event loop."""

    def __init__(self, plane: TestPlane) -> None:
        self.plane = plane

    @property
    def upstreams(self) -> dict[str, FakeUpstream]:
        return self.plane.upstreams

    @property
    def url(self) -> str:
        return self.plane.url

    async def get(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        return await self.request("GET", path, query=query, headers=headers)

    async def advance(self, duration: Duration) -> None:
        """See `TestPlane.advance`."""
        await asyncio.to_thread(self.plane.advance, duration)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        body: bytes | None = None,
    ) -> Reply:
        return await asyncio.to_thread(
            self.plane.request, method, path, query=query, headers=headers, json=json, body=body
        )
