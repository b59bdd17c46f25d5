"""Testing a service without its upstreams: real plane, real sockets, scripted answers.

The failure prevented: a service whose bad days are met in production first, because its tests
replace the very part that times out, degrades and refuses. Here only the upstreams are replaced:
`FakeUpstream` answers what a test says, or hangs, or breaks; `TestPlane` runs the service over them
in this process. Time is the machine's, or a test's to move (`docs/guides/test-your-service.md`).
Nothing of the production path imports this package.

    answers   what a fake may do           upstream  the fake, and what it received
    serving   its HTTP, in one thread      plane     the service over its fakes
    replies   what the service said        plugin    fixtures and a marker for pytest
    clock     time that stands still       asynchronous  the plane for `async` tests
"""

from tailrace.testing.answers import (
    Answer,
    Slow,
    after,
    broken_json,
    empty,
    hang,
    html,
    ok,
    raw,
    reset,
    slow,
    status,
    truncated,
)
from tailrace.testing.asynchronous import AsyncTestPlane
from tailrace.testing.clock import StuckError
from tailrace.testing.plane import TestPlane
from tailrace.testing.replies import Pending, Reply
from tailrace.testing.upstream import FakeUpstream, Received

__all__ = [
    "Answer",
    "AsyncTestPlane",
    "FakeUpstream",
    "Pending",
    "Received",
    "Reply",
    "Slow",
    "StuckError",
    "TestPlane",
    "after",
    "broken_json",
    "empty",
    "hang",
    "html",
    "ok",
    "raw",
    "reset",
    "slow",
    "status",
    "truncated",
]
