"""The kernel's table of open files is as large as the limits before the first connection.

While it grows, whoever needs the next descriptor stands still (req 4.5, 11.1).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="Linux says how large the table is"
    ),
]

SERVICE = """
    import json, re, resource, sys
    from pathlib import Path
    from pydantic import BaseModel
    from tailrace import Service, Upstream, View, strong
    from tailrace._plane import Engine
    from tailrace._runtime import Plane

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), hard))

    class Thing(BaseModel):
        id: str

    service = Service("descriptors", deadline="1s", fanout=1)
    things = Upstream("things", "http://127.0.0.1:1", bulkhead=500)

    @service.view("/things/{id}")
    class ThingView(View):
        thing: Thing = strong(things.get("/things/{id}"))

    def blueprint(connections):
        declared = service.blueprint()
        declared["listen"] = {"port": 0, "admin_port": 0, "workers": 2}
        declared["access_log"] = {"format": "off"}
        declared["limits"] = {"connections_max": connections}
        return json.dumps(declared).encode()

    sizes = []

    def measure():
        text = Path("/proc/self/status").read_text()
        sizes.append(int(re.search(r"^FDSize:\\s*(\\d+)", text, re.MULTILINE)[1]))

    measure()
"""
PLANE = """
    plane = Plane(blueprint(1000), b"{}")
    measure()
    plane.reconfigure(blueprint(3000), b"{}", "test", b"{}", b"")
    measure()
    print(json.dumps(sizes))
    plane.stop()
"""
ENGINE = """
    engine = Engine(blueprint(1000))
    measure()
    print(json.dumps(sizes))
    engine.end()
"""
# Clients; calls to the upstream, and as many idle connections of each of two workers.
WANTED = 1000 + 3 * 500


def sizes(program: str, allowed: int) -> list[int]:
    """The table at first, after the start, after the change, in a process allowed so many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < allowed:
        pytest.skip(f"{hard} descriptors are allowed here")
    text = textwrap.dedent(SERVICE) + textwrap.dedent(program)
    command = [sys.executable, "-c", text, str(allowed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [int(size) for size in json.loads(done.stdout)]


def test_room_is_made_at_the_start_and_when_the_limits_rise() -> None:
    before, started, changed = sizes(PLANE, 8192)
    assert started >= WANTED > before
    assert changed >= WANTED + 2000
    assert changed > started


def test_room_ends_at_what_the_process_may_have() -> None:
    before, *after = sizes(PLANE, 1024)
    assert before < 1024
    assert after == [1024, 1024]


def test_a_client_has_it_too() -> None:
    before, started = sizes(ENGINE, 8192)
    assert started >= WANTED > before
