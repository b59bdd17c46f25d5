#!/usr/bin/env python3
"""Write the profile that published wheels are built with: `python3 bench/train.py OUT`.

Then: `RUSTFLAGS=-Cprofile-use=OUT maturin build --profile dist --locked`, with an absolute path and
the same rustc. Needs two cores, and the `llvm-profdata` of rustc's LLVM: `rustup component add
llvm-tools`, or the package `llvm-<major>` of the system.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.machine import BenchError, allow_many_files
from harness.peers import VENV, build_python
from harness.tailrace_build import profdata_tool
from harness.training import profile


def main() -> int:
    """Exit code 0: written; 2: cannot."""
    if len(sys.argv) != 2:
        print("usage: python3 bench/train.py OUT", file=sys.stderr)
        return 2
    tool = profdata_tool()
    if tool is None:
        print("no llvm-profdata of rustc's LLVM: rustup component add llvm-tools", file=sys.stderr)
        return 2
    try:
        allow_many_files()
        build_python()
        shutil.copyfile(profile(VENV, tool), sys.argv[1])
    except BenchError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
