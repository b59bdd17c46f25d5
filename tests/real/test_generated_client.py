"""A typed client, generated from the document by a common generator, calls the live service.

The failure prevented: a contract that a validator likes and no generator can use, or whose client a
type checker cannot follow. Needs
`openapi-python-client` in `.venv/clients`; `make test-real` puts it there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tailrace._lower import build
from tailrace._openapi import document, render
from tailrace.testing import TestPlane, hang, status

from examples.orders.service import service
from examples.orders.test_service import upstreams

pytestmark = pytest.mark.real

BIN = Path(__file__).parents[2] / ".venv/clients/bin"
ASK = """
import sys
import httpx
from order_query_client import Client
from order_query_client.api.default import order
from order_query_client.models import OrderReply, OrderReplyDegradedItem, Problem404

client = Client(base_url=sys.argv[1], timeout=httpx.Timeout(30))
reply = order.sync(order_id="7", client=client)
if isinstance(reply, OrderReply):
    missing = [OrderReplyDegradedItem(one).value for one in reply.degraded]
    print("reply", reply.order.id, reply.order.total, reply.coupon and reply.coupon.code, missing)
else:
    assert isinstance(reply, Problem404), reply
    print("problem", reply.status, reply.code.value, reply.part)
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated package's folder."""
    generator = BIN / "openapi-python-client"
    if not generator.exists():
        pytest.skip(f"{generator} is not there; make test-real installs it")
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_bytes(render(document(service, build(service))))
    ended = subprocess.run(
        [generator, "generate", "--path", "openapi.json", "--fail-on-warning"],
        cwd=folder,
        env={"PATH": str(BIN)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (folder / "ask.py").write_text(ASK)
    return folder


MISTAKES = """
from order_query_client import Client
from order_query_client.api.default import order
from order_query_client.models import OrderReply

reply = order.sync(order_id=7, client=Client(base_url=""))
assert isinstance(reply, OrderReply)
print(reply.order.password_hash)
print(reply.coupon.code)
"""


def test_a_generated_client_type_checks_and_sees_mistakes(client: Path) -> None:
    (client / "wrong.py").write_text(MISTAKES)

    def checked(*words: str) -> tuple[int, str]:
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "mypy", "--cache-dir", str(client / "cache")),
                *("--python-executable", str(BIN / "python"), "--config-file", "", *words),
            ],
            cwd=client / "order-query-client",
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    code, said = checked("order_query_client", str(client / "ask.py"))
    assert code == 0, said
    code, said = checked(str(client / "wrong.py"))
    assert code == 1, said
    # What a client cannot send, what nobody declared, and what may be missing.
    for mistake in (
        '"order_id" to "sync" has',
        '"password_hash"',
        '"Coupon | None" has no attribute "code"',
    ):
        assert mistake in said, said


def asked(client: Path, plane: TestPlane) -> str:
    ended = subprocess.run(
        [BIN / "python", "ask.py", plane.url],
        cwd=client,
        env={"PYTHONPATH": str(client / "order-query-client")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_a_generated_client_reads_a_full_reply(client: Path) -> None:
    with TestPlane(service, upstreams(), time_scale=50) as plane:
        assert asked(client, plane) == "reply 7 12.50 C []"


def test_a_generated_client_reads_a_degraded_reply(client: Path) -> None:
    with TestPlane(service, upstreams(), time_scale=50) as plane:
        plane.fault("coupons", hang())
        assert asked(client, plane) == "reply 7 12.50 None ['coupon']"


def test_a_generated_client_reads_a_problem(client: Path) -> None:
    fakes: dict[str, Any] = upstreams()
    fakes["orders"].on("/orders/{id}", status(404))
    with TestPlane(service, fakes, time_scale=50) as plane:
        assert asked(client, plane) == "problem 404 not_found order"
