"""Testing a service without its upstreams: real plane, real sockets, scripted answers.

The failure prevented: a service whose bad days are met in production first, because its tests
replace the very part that times out, degrades and refuses. Here only the upstreams are replaced:
`FakeUpstream` answers what a test says, or hangs, or breaks; `TestPlane` runs the service over them
in this process. Nothing of the production path imports this package. Limits: time is real; a test
that waits for a timeout waits for it (see `docs/guides/test-your-service.md`).

    answers   what a fake may do           upstream  the fake, and what it received
    serving   its HTTP, in one thread      plane     the service over its fakes
    replies   what the service said        plugin    fixtures and a marker for pytest
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
from tailrace.testing.plane import AsyncTestPlane, TestPlane
from tailrace.testing.replies import Reply
from tailrace.testing.upstream import FakeUpstream, Received

__all__ = [
    "Answer",
    "AsyncTestPlane",
    "FakeUpstream",
    "Received",
    "Reply",
    "Slow",
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
