"""What every test directory shares.

The failure prevented: snapshots edited by hand. `pytest --update-snapshots` rewrites the expected
texts under `tests/declare`; the diff is what gets reviewed.
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        default=False,
        help="rewrite expected texts instead of comparing with them",
    )


@pytest.fixture
def update_snapshots(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-snapshots"))
