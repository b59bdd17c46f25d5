"""For pytest: a plane that ends with its test, and upstream faults as cases.

The failure prevented: a fault that is tested for one upstream and forgotten for the next. A marker
names an upstream and what may befall it; the test runs once per fault, over planes that have it.
Loaded by pytest itself (entry point `pytest11`); pydantic and the plane only when a test asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tailrace.testing.plane import TestPlane

MARKER = "upstream_story"
EXAMPLE = f'write @pytest.mark.{MARKER}("orders", hang(), reset())'


@dataclass(frozen=True, slots=True)
class Story:
    """One fault of one upstream."""

    upstream: str
    fault: Any

    @property
    def reason(self) -> str | None:
        """Why a part of this upstream is then missing."""
        reason: str | None = self.fault.reason
        return reason


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(upstream, *faults): run the test once per fault of this upstream, over planes"
        " of `tailrace_plane`; several markers add up",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = list(metafunc.definition.iter_markers(MARKER))
    if not marks:
        return
    if "tailrace_plane" not in metafunc.fixturenames:
        name = metafunc.definition.name
        raise pytest.UsageError(
            f"`{name}` has the marker `{MARKER}` but starts no plane that could have the fault:"
            " add the fixture `tailrace_plane` to its arguments"
        )
    for mark in marks:
        if len(mark.args) < 2:
            name = metafunc.definition.name
            raise pytest.UsageError(f"`{name}`: its marker `{MARKER}` names no fault; {EXAMPLE}")
    stories = [_story(metafunc, mark, fault) for mark in reversed(marks) for fault in mark.args[1:]]
    names = [f"{story.upstream}-{story.fault.name}" for story in stories]
    metafunc.parametrize("upstream_story", stories, ids=names, indirect=True)


def _story(metafunc: pytest.Metafunc, mark: pytest.Mark, fault: object) -> Story:
    from tailrace.testing.answers import Answer, Slow

    if not isinstance(mark.args[0], str) or not isinstance(fault, Answer | Slow):
        raise pytest.UsageError(f"`{metafunc.definition.name}`: {EXAMPLE}")
    return Story(mark.args[0], fault)


@pytest.fixture
def upstream_story(request: pytest.FixtureRequest) -> Story | None:
    """The fault this case is about; None in a test without the marker."""
    story: Story | None = getattr(request, "param", None)
    return story


@pytest.fixture
def tailrace_plane(upstream_story: Story | None) -> Iterator[Callable[..., TestPlane]]:
    """Starts a `TestPlane` (same arguments) that ends with the test.

    In a case of `upstream_story` its upstream has the fault before the plane starts.
    """
    from tailrace.testing.plane import TestPlane

    with ExitStack() as stack:

        def start(*arguments: Any, **named: Any) -> TestPlane:
            plane = TestPlane(*arguments, **named)
            if upstream_story is not None:
                plane.fault(upstream_story.upstream, upstream_story.fault)
            return stack.enter_context(plane)

        yield start
