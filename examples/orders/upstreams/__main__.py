"""Starts the five upstreams, prints one JSON line when all serve, stops them on SIGTERM or SIGINT.

A service that ends by itself is reported and the others go on: that is what the example is about.
"""

import argparse
import json
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

from ..processes import StartError, all_upstreams
from . import generate, shop

WATCH_SECONDS: Final = 0.25


def run(data: Path, port_base: int, stop: threading.Event) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="tailrace-upstreams-") as logs,
        all_upstreams(data, Path(logs), port_base) as programs,
    ):
        started = {name: program.ready() for name, program in programs.items()}
        urls = {name: facts["url"] for name, facts in started.items()}
        pids = {name: facts["pid"] for name, facts in started.items()}
        print(json.dumps({"ready": True, "upstreams": urls, "pids": pids}), flush=True)
        alive = dict(programs)
        while alive and not stop.wait(WATCH_SECONDS):
            for name, program in list(alive.items()):
                if not program.running:
                    code = alive.pop(name).process.returncode
                    print(f"upstreams: {name} ended with {code}", file=sys.stderr, flush=True)
    return 0 if stop.is_set() else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="examples.orders.upstreams", description=__doc__)
    parser.add_argument("--port-base", type=int, default=9001, help="0 lets the system choose")
    parser.add_argument("--data", type=Path, default=None, metavar="DIR")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    data = options.data or generate.default_directory()
    try:
        if options.data is None:
            generate.generate(data, size=shop.Size())
        return run(data, options.port_base, stop)
    except (StartError, OSError) as error:
        print(f"upstreams: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
