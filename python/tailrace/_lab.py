"""The lab in a process of its own: ``python -m tailrace._lab upstreams|load|naive ...``.

Simulated upstreams and load must not share a process with the plane they measure.
"""

from __future__ import annotations

import sys

from tailrace import _plane


def command(*arguments: str) -> list[str]:
    """The command line that runs the lab with ``arguments`` in a process of its own."""
    return [sys.executable, "-m", "tailrace._lab", *arguments]


if __name__ == "__main__":
    sys.exit(_plane.run_lab(sys.argv[1:]))
