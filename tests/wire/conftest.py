"""One plane for all rows.

Prevents a process per row: what a row leaves behind would show in the next ones anyway.
"""

from collections.abc import Iterator

import live
import pytest


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Live]:
    with live.running(tmp_path_factory.mktemp("plane")) as running:
        yield running
