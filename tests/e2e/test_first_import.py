"""Where the native module is imported first must not matter.

The failure prevented: a service that is started by a worker of a thread pool, and crashes once that
worker has ended: the module's allocator had taken it for the process's first thread.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.e2e

PROGRAM = """
    import threading
    from pydantic import BaseModel
    from tailrace import Service, Upstream, View, weak

    class Thing(BaseModel):
        id: str

    up = Upstream("up", "http://up.invalid", timeout="5s")
    service = Service("one", deadline="10s")

    @service.view("/x")
    class X(View):
        thing: Thing | None = weak(up.get("/x"))

    def serve():
        from tailrace.testing import TestPlane
        with TestPlane(service, up={"/x": {"id": "7"}}) as plane:
            print(plane.get("/x").status)

    for _ in range(3):
        thread = threading.Thread(target=serve)
        thread.start()
        thread.join()
"""


def test_a_thread_that_ends_may_be_the_first_to_import_it() -> None:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "200\n" * 3, "")
