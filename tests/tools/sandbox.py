"""Where the tools are, and the type of the fixture that writes a project for them."""

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

Write = Callable[[dict[str, str]], Path]
