"""The training run of a profiled build: what the compiler learns which code is hot from.

A wheel that counts its own branches serves the order view the three ways a user can write it,
declared, as a handler and through `tailrace.Client`, and once more with every policy on, under a
load far below its limit. What comes
out is a file for `-Cprofile-use`; it is made once per state of the sources.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from harness import measures
from harness.lab import Lab, Load, build_lab
from harness.machine import WORK, choose_cores
from harness.tailrace_build import install, native_module, step, wheel

TRAINED = ("tailrace", "tailrace-handler", "fastapi-tailrace")
LOAD = Load(rate=400.0, seconds=6.0, connections=64)


def profile(venv: Path, tool: Path) -> Path:
    """The profile of the sources as they are; `tool` is `llvm-profdata`."""
    raw = WORK / "profile"
    counting = wheel(venv, "counting", f"-Cprofile-generate={raw}")
    trainer = Path(__file__).read_bytes()
    state = hashlib.sha256(native_module(counting) + trainer).hexdigest()[:16]
    out = WORK / f"tailrace-{state}.profdata"
    if out.exists():
        return out
    install(venv, counting)
    # What the compiler's own helpers wrote while they ran is not ours.
    shutil.rmtree(raw, ignore_errors=True)
    train()
    found = [str(one) for one in raw.glob("*.profraw")]
    step([str(tool), "merge", "-o", str(out), *found])
    return out


def train() -> None:
    """Serve the order view in every way, with what is installed now."""
    from harness.peers import ALL  # whose builds come back here
    from harness.tail.stage import tailrace_with

    before = os.sched_getaffinity(0)
    lab = Lab(build_lab(), choose_cores())
    try:
        with lab.upstreams() as upstreams:
            bench = measures.Bench(lab, LOAD, 1, upstreams)
            trained = [peer for peer in ALL if peer.name in TRAINED]
            for peer in [*trained, tailrace_with("on")]:
                measures.one_round(bench, peer, 1)
    finally:
        os.sched_setaffinity(0, before)
