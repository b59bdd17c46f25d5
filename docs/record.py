#!/usr/bin/env python3
"""Runs what a guide shows and writes what it said: `python docs/record.py`, a minute and a half.

Prevents output in a guide that nobody has ever seen. The demo runs on ports of its own, one
upstream is hurt as the guide says, and what `tailrace why p99` then prints goes to a file beside
its commands, the day and the machine. `docs/generate.py` puts the file into the page. Figures are
for reading, not for comparing: those are `make bench`'s. A debug build is refused all the same.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

OUT: Final = Path(__file__).resolve().parent / "recorded" / "why-p99.json"
SECONDS: Final = 75.0
"""Of load on the hurt service: some 15 000 requests, so 150 above P99."""
DEMO: Final = ("demo", "--hold", "--seconds", "3")
FAULT: Final = ("fault", "inventory", "--jitter", "30ms")
WHY: Final = ("why", "p99")
# Nothing else of this machine shall be in the way.
PORTS: Final = tuple(
    word
    for name in ("port", "admin-port", "naive-port", "lab-port", "lab-admin-port")
    for word in (f"--{name}", "0")
)


def tailrace(*words: str) -> list[str]:
    """The command line of a verb, in this environment."""
    return [sys.executable, "-m", "tailrace.cli", *words]


def said(*words: str) -> str:
    """What a verb prints; what it says in an error goes to the terminal."""
    environment = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run(
        tailrace(*words), env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    return done.stdout


def record() -> dict[str, Any]:
    """The demo, the fault, the load and the question."""
    demo = subprocess.Popen(tailrace(*DEMO, *PORTS, "--json"), stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    try:
        opening: dict[str, Any] = {}
        for line in demo.stdout:
            told = json.loads(line)
            opening = opening or told
            if told["type"] == "summary":
                break
        if opening.get("profile") in (None, "debug"):
            raise SystemExit("docs/record.py: build it first, not in debug: make demo")
        said(*FAULT, "--admin", opening["lab_admin"])
        # Load for a while: the only thing that is waited for is what this is about.
        time.sleep(SECONDS)
        shown = said(*WHY, "--admin", opening["admin"])
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate()
    return {
        "format_version": 1,
        "written_by": "python docs/record.py",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "version": opening["tailrace"],
        "profile": opening["profile"],
        "machine": f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        "commands": [" ".join(("tailrace", *words)) for words in (DEMO, FAULT, WHY)],
        "seconds": SECONDS,
        "output": shown,
    }


if __name__ == "__main__":
    OUT.write_text(json.dumps(record(), indent=2) + "\n", encoding="utf-8")
    print(f"{OUT}: written; now python docs/generate.py")
