"""Workers follow the CPUs this process may use, not the machine's (req 11.1)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.e2e

CHILD = """
    import json, os, sys
    from pydantic import BaseModel
    from tailrace import Service, Upstream, View, strong
    from tailrace._runtime import Plane

    os.sched_setaffinity(0, json.loads(sys.argv[1]))

    class Thing(BaseModel):
        id: str

    service = Service("cpus", deadline="1s", fanout=1)
    things = Upstream("things", "http://127.0.0.1:1")

    @service.view("/things/{id}")
    class ThingView(View):
        thing: Thing = strong(things.get("/things/{id}"))

    blueprint = service.blueprint()
    blueprint["listen"] = {"port": 0, "admin_port": 0}
    blueprint["access_log"] = {"format": "off"}
    plane = Plane(json.dumps(blueprint).encode(), b"{}")
    print(plane.workers)
    plane.stop()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
@pytest.mark.parametrize("share", ["one", "all"])
def test_one_worker_per_usable_cpu(share: str) -> None:
    usable = sorted(os.sched_getaffinity(0))
    cpus = usable[:1] if share == "one" else usable
    command = [sys.executable, "-c", textwrap.dedent(CHILD), json.dumps(cpus)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) == len(cpus)
