"""Tests against other people's servers: `make test-real` runs them, nothing else does.

Prevents a suite whose result depends on what a machine happens to have installed: without
`-m real` these tests are skipped, and say so. One plane serves the session.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "wire"))

import live

FOLDER = Path(__file__).resolve().parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: needs other people's servers, such as nginx")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "real" in str(config.getoption("markexpr")):
        return
    asked = pytest.mark.skip(reason="only with -m real: make test-real")
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(asked)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Live]:
    with live.running(tmp_path_factory.mktemp("plane")) as running:
        yield running
