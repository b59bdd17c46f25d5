"""`tailrace.Client` in programs of their own kind: asyncio, uvloop, several loops, forks, exits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import tailrace
import uvloop
from pydantic import BaseModel, field_validator
from python_side import Upstream, eventually

pytestmark = pytest.mark.e2e


class Thing(BaseModel):
    id: str


@dataclass
class Plain:
    id: str


class Struct(msgspec.Struct):
    id: str


class Picky(BaseModel):
    id: str

    @field_validator("id")
    @classmethod
    def no_odd_ids(cls, value: str) -> str:
        if value == "odd":
            raise ValueError("odd")
        return value


class Numbered(BaseModel):
    id: int


@pytest.fixture
def up(scripted: Upstream) -> tailrace.Upstream:
    return tailrace.Upstream(
        "up", scripted.url, timeout="9s", bulkhead=400, retry=None, throttle=None
    )


def run(loop: str, main: Any) -> Any:
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_answers_become_models(loop: str, up: tailrace.Upstream) -> None:
    async def main() -> list[Any]:
        async with tailrace.Client(up) as client:
            return [
                await client.get(up, "/things/{id}", model, id="a")
                for model in (Thing, Plain, Struct, bytes, dict[str, str], Picky)
            ]

    found = run(loop, main)
    assert found[:3] == [Thing(id="a"), Plain("a"), Struct("a")]
    # Unchecked JSON comes whole; what is declared is projected.
    assert found[3] == b'{"id": "a", "secret": "s"}'
    assert found[4] == {"id": "a", "secret": "s"}
    assert found[5] == Picky(id="a")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_many_calls_cross_together(loop: str, up: tailrace.Upstream, scripted: Upstream) -> None:
    async def main() -> list[Thing]:
        async with tailrace.Client(up, workers=2) as client:
            calls = [client.get(up, "/things/{id}", Thing, id=n) for n in range(300)]
            return await asyncio.gather(*calls)

    assert run(loop, main) == [Thing(id=str(n)) for n in range(300)]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_all_gives_models_in_order_and_weak_ones_their_default(
    loop: str, up: tailrace.Upstream
) -> None:
    """req 8.1: a weak failure is a default; a strong one ends its siblings (req 4.5)."""

    async def main() -> Any:
        async with tailrace.Client(up) as client:
            found = await client.all(
                up.get("/things/{id}", Thing, id="a"),
                client.weak(up.get("/status/{n}", Thing, n=500)),
                client.weak(up.get("/status/{n}", Thing, n=404), default="none", name="n"),
                up.get("/things/{id}", Struct, id="b"),
                client.weak(up.get("/things/{id}", Picky, id="odd"), default=Thing(id="other")),
            )
            with pytest.raises(tailrace.CallFailed) as caught:
                await client.all(
                    up.get("/hang/{n}", Thing, n=1), up.get("/status/{n}", Thing, n=410)
                )
            alone = await client.call(client.weak(up.get("/status/{n}", Thing, n=500)))
            return found, caught.value, alone

    found, failed, alone = run(loop, main)
    assert found == (Thing(id="a"), None, "none", Struct("b"), Thing(id="other"))
    assert (failed.reason, failed.answered) == ("gone", 410)
    assert alone is None


def test_what_is_no_call_is_refused(up: tailrace.Upstream) -> None:
    async def main() -> None:
        async with tailrace.Client(up) as client:
            with pytest.raises(TypeError, match="has no model"):
                await client.all(up.get("/things/a"))  # type: ignore[call-overload]
            with pytest.raises(TypeError, match="is no call"):
                await client.all("/things/a")  # type: ignore[call-overload]
            with pytest.raises(tailrace.DeclarationError, match="looks like a value"):
                await client.all(up.get("/things/17", Thing))
            with pytest.raises(ValueError, match="cannot be a name"):
                client.weak(up.get("/things/{id}", Thing, id=1), name="a b")

    run("asyncio", main)


def test_failures_say_what_happened(up: tailrace.Upstream) -> None:
    async def main() -> list[tailrace.CallFailed]:
        found = []
        # Only what never answers may meet a short deadline, however slow the machine.
        async with tailrace.Client(up) as client, tailrace.Client(up, deadline="80ms") as hasty:
            for asked, path, model in (
                (client, "/status/{n}", Thing),
                (hasty, "/hang/{n}", Thing),
                (client, "/things/{n}", Numbered),
            ):
                with pytest.raises(tailrace.CallFailed) as caught:
                    await asked.get(up, path, model, n=409)
                found.append(caught.value)
            with pytest.raises(tailrace.CallFailed) as caught:
                await client.get(up, "/things/{n}", Picky, n="odd")
            found.append(caught.value)
        return found

    status, late, _, picky = run("asyncio", main)
    assert (status.upstream, status.reason, status.status, status.answered) == (
        "up",
        "client_error",
        502,
        409,
    )
    assert str(status) == "the call of up failed: client_error, it answered 409"
    assert (late.reason, late.status, late.answered) == ("deadline", 504, None)
    assert picky.reason == "model_mismatch"


def test_other_methods_send_models(up: tailrace.Upstream) -> None:
    class Echo(BaseModel):
        method: str
        sent: str

    async def main() -> list[Echo]:
        async with tailrace.Client(up) as client:
            return [
                await client.call(up.post("/things/{id}", Echo, json=body, id=1))
                for body in (Thing(id="a"), Struct("b"), Plain("c"), [1, "d"], None)
            ]

    sent = [echo.sent for echo in run("asyncio", main)]
    assert sent == ['{"id":"a"}', '{"id":"b"}', '{"id":"c"}', '[1,"d"]', "null"]


def test_cancelling_ends_the_call(up: tailrace.Upstream, scripted: Upstream) -> None:
    """RELIABILITY A04."""
    gone = scripted.gone

    async def main() -> str:
        async with tailrace.Client(up) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.get(up, "/hang/{id}", Thing, id="timeout")
            task = asyncio.create_task(client.get(up, "/hang/{id}", Thing, id="cancel"))
            await asyncio.to_thread(eventually, "it runs", lambda: scripted.seen["/hang/cancel"])
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(eventually, "both ended", lambda: scripted.gone >= gone + 1)
            await asyncio.to_thread(
                eventually, "its place is free", lambda: not in_flight(client.metrics())
            )
            return client.metrics()

    metrics = run("asyncio", main)
    assert _value(metrics, "upstream_calls_total") >= 1


def in_flight(metrics: str) -> float:
    return _value(metrics, "bulkhead_in_flight")


def _value(metrics: str, name: str) -> float:
    line = next(line for line in metrics.splitlines() if line.startswith(f"tailrace_{name}{{"))
    return float(line.rpartition(" ")[2])


def test_context_and_task_groups_work(up: tailrace.Upstream) -> None:
    where: ContextVar[str] = ContextVar("where", default="nowhere")

    async def ask(client: tailrace.Client, value: str) -> str:
        where.set(value)
        thing = await client.get(up, "/things/{id}", Thing, id=value)
        return f"{thing.id} {where.get()}"

    async def main() -> list[str]:
        async with tailrace.Client(up) as client, asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(client, value)) for value in ("a", "b")]
        return [task.result() for task in tasks]

    assert run("asyncio", main) == ["a a", "b b"]


def test_another_loop_is_refused_and_a_closed_client_too(up: tailrace.Upstream) -> None:
    client = tailrace.Client(up)

    async def elsewhere() -> None:
        await client.get(up, "/things/{id}", Thing, id="a")

    async def main() -> None:
        async with client:
            with pytest.raises(RuntimeError, match="opened on another event loop"):
                await asyncio.to_thread(asyncio.run, elsewhere())
            with pytest.raises(RuntimeError, match="open already"):
                await client.__aenter__()
        with pytest.raises(RuntimeError, match="not open"):
            await elsewhere()

    run("asyncio", main)
    # Opened again, on another loop, it works.
    run("uvloop", main)


PRELUDE = """
import asyncio, os, sys
import tailrace

up = tailrace.Upstream("up", {url!r}, timeout="9s")
"""


def script(upstream: Upstream, code: str) -> subprocess.CompletedProcess[str]:
    program = PRELUDE.format(url=upstream.url) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_forked_child_gets_a_clear_error(scripted: Upstream) -> None:
    done = script(
        scripted,
        """
        async def main():
            async with tailrace.Client(up) as client:
                await client.get(up, "/things/{id}", bytes, id=1)
                child = os.fork()
                if child == 0:
                    try:
                        await client.get(up, "/things/{id}", bytes, id=2)
                    except RuntimeError as error:
                        print(error)
                        sys.stdout.flush()
                        os._exit(7)
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
                print((await client.get(up, "/things/{id}", bytes, id=3)).decode())

        asyncio.run(main())
        """,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "forked after the plane had started" in lines[0]
    assert lines[1:] == ["7", '{"id": "3", "secret": "s"}']


@pytest.mark.parametrize(
    "ending",
    ["return", "sys.exit(3)", "raise LookupError('mine')", "os.kill(os.getpid(), 15)"],
)
def test_the_interpreter_ends_in_order(scripted: Upstream, ending: str) -> None:
    """With a call in flight and the client never closed."""
    done = script(
        scripted,
        f"""
        async def main():
            client = await tailrace.Client(up).__aenter__()
            await client.get(up, "/things/{{id}}", bytes, id=1)
            asyncio.ensure_future(client.get(up, "/hang/{{id}}", bytes, id=2))
            await asyncio.sleep(0)
            {ending}

        asyncio.run(main())
        """,
    )
    expected = {"return": 0, "sys.exit(3)": 3, "raise LookupError('mine')": 1}
    assert done.returncode == expected.get(ending, -15), done.stderr
    assert "panicked" not in done.stderr
    assert "Fatal" not in done.stderr
    assert ("LookupError: mine" in done.stderr) == ("mine" in ending)
    told = done.stderr.count("1 tailrace.Client left open at exit")
    assert told == (0 if "kill" in ending else 1)


def test_an_upstream_that_was_not_given_is_named(up: tailrace.Upstream) -> None:
    other = tailrace.Upstream("other", "http://127.0.0.1:1")

    async def main() -> None:
        async with tailrace.Client(up) as client:
            await client.get(other, "/things/{id}", Thing, id="a")

    with pytest.raises(tailrace.DeclarationError, match="upstream `other` is not known here"):
        run("asyncio", main)
