"""A stub is held to the one that is generated: names, arguments, types."""

import pytest
import stubs
from sandbox import ROOT

GENERATED = '''
from _typeshed import Incomplete, SupportsGetItem
from typing import SupportsFloat, SupportsIndex, final

@final
class Bridge:
    """The end."""
    @property
    def workers(self, /) -> int:
        """Threads."""
    def late(
        self, /, after: SupportsFloat | SupportsIndex | None, of: SupportsIndex = ...
    ) -> bool: ...
    def stream(
        self,
        /,
        asked: tuple[
            SupportsIndex, SupportsGetItem[int, SupportsGetItem[int, SupportsIndex] | None]
        ],
    ) -> tuple[list, bool]: ...

def name(value: SupportsGetItem[int, str]) -> bytes | None: ...
def __getattr__(name: str) -> Incomplete: ...
'''
OURS = """
class Bridge:
    @property
    def workers(self) -> int: ...
    def late(self, after: float | None, of: int = ...) -> bool: ...
    def stream(
        self, asked: tuple[int, list[bytes | None]]
    ) -> tuple[list[tuple[int, str]], bool]: ...

def name(value: list[str]) -> None | bytes: ...
"""


def compared(ours: str) -> list[str]:
    return list(stubs.differences(stubs.read(ours), stubs.read(GENERATED)))


def test_what_says_the_same_or_more_of_a_list_fits() -> None:
    assert compared(OURS) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("-> int", "-> str", "Bridge.workers, returns: str in the stub, int in the module"),
        ("    @property\n", "", "Bridge.workers: function in the stub, property in the module"),
        ("after: float | None", "after: float", "Bridge.late, after: float in the stub"),
        ("of: int = ...", "of: int", "Bridge.late: other arguments"),
        ("of: int", "at: int", "Bridge.late: other arguments"),
        ("list[bytes | None]]", "list[str | None]]", "Bridge.stream, asked: "),
        ("bool]", "int]", "Bridge.stream, returns: "),
        ("list[str]", "list[bytes]", "name, value: list[bytes] in the stub"),
        ("None | bytes", "bytes", "name, returns: bytes in the stub"),
        ("def name(", "def other(", "name: in the module, not in the stub"),
        ("def name(", "def other(", "other: in the stub, not in the module"),
    ],
)
def test_what_differs_is_named(old: str, new: str, told: str) -> None:
    assert OURS.count(old) == 1
    assert any(line.startswith(told) for line in compared(OURS.replace(old, new)))


def test_our_stub_is_read() -> None:
    ours = stubs.read(stubs.OURS.read_text(encoding="utf-8"))
    assert stubs.OURS.is_relative_to(ROOT)
    assert {"Plane.__new__", "Bridge.take", "check_blueprint"} <= ours.keys()
    assert len(ours) > 50
