"""`doctor`: every finding that is not ok carries its fix."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from running import TAILRACE, Run, clean_environment
from tailrace.cli.doctor import machine
from tailrace.cli.doctor.finding import Finding


def free_ports() -> tuple[str, ...]:
    """Ports nobody takes in a test: the verb only looks, and 1 and 2 are free on any machine."""
    return ("--port", "1", "--admin-port", "2")


def test_every_check_is_there_and_the_code_follows(run: Run) -> None:
    ended = run("doctor", "--json", *free_ports())
    found = json.loads(ended.out)
    names = [check["name"] for check in found["checks"]]
    assert names == [
        *("python", "plane", "descriptors", "somaxconn", "cpus", "memory"),
        *("port 1", "port 2", "clock", "collector"),
    ]
    failed = [check for check in found["checks"] if check["status"] == "fail"]
    assert ended.code == (3 if failed else 0)
    assert found["ok"] is not bool(failed)
    assert all(bool(check["fix"]) is (check["status"] != "ok") for check in found["checks"])


def test_text_fits_and_counts(run: Run) -> None:
    ended = run("doctor", *free_ports())
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("ok    python ")
    assert " ok, " in lines[-1]


def test_too_few_descriptors_fail_with_the_fix(folder: Path) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

    ended = subprocess.run(
        [*TAILRACE, "doctor", "--json", *free_ports()],
        cwd=folder,
        env=clean_environment(),
        preexec_fn=few,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    checks = {check["name"]: check for check in json.loads(ended.stdout)["checks"]}
    assert checks["descriptors"]["status"] == "fail"
    assert checks["descriptors"]["found"] == "128 open files (hard limit 128)"
    assert "LimitNOFILE=8192" in checks["descriptors"]["fix"]


def test_a_finding_without_a_fix_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="a fix belongs"):
        Finding("x", "warn", "bad")
    with pytest.raises(ValueError, match="a fix belongs"):
        Finding("x", "ok", "good", "do nothing")


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up /sys/fs/cgroup, and a process in `/pod/app` of it."""
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    real = machine._read

    def read(path: Path) -> str:
        return (tmp_path / "self").read_text() if path == Path("/proc/self/cgroup") else real(path)

    monkeypatch.setattr(machine, "_read", read)
    return tmp_path


def test_the_tightest_group_counts(cgroup: Path) -> None:
    (cgroup / "self").write_text("0::/pod/app\n")
    (cgroup / "pod" / "app").mkdir(parents=True)
    (cgroup / "pod" / "cpu.max").write_text("50000 100000\n")
    (cgroup / "pod" / "app" / "cpu.max").write_text("max 100000\n")
    (cgroup / "pod" / "memory.max").write_text("134217728\n")
    (cgroup / "pod" / "app" / "memory.max").write_text("max\n")
    assert machine.cpu_quota() == 0.5
    assert machine.memory_limit() == 128 * 1024 * 1024
    assert machine.cpus().status == "warn"
    assert machine.memory().status == "warn"
    assert machine.memory().found == "128 MiB allowed by the cgroup"


def test_version_one_groups_are_read(cgroup: Path) -> None:
    (cgroup / "self").write_text("4:cpu,cpuacct:/app\n3:memory:/app\n")
    (cgroup / "cpu" / "app").mkdir(parents=True)
    (cgroup / "cpu" / "app" / "cpu.cfs_quota_us").write_text("200000\n")
    (cgroup / "cpu" / "app" / "cpu.cfs_period_us").write_text("100000\n")
    (cgroup / "memory").mkdir()
    (cgroup / "memory" / "memory.limit_in_bytes").write_text("1073741824\n")
    assert machine.cpu_quota() == 2
    assert machine.memory_limit() == 1 << 30


def test_no_group_means_no_limit(cgroup: Path) -> None:
    (cgroup / "self").write_text("")
    assert machine.cpu_quota() is None
    assert machine.memory_limit() is None


class Taken(BaseHTTPRequestHandler):
    """A collector that answers every POST with what its server holds."""

    server: Collector

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        seen = {"path": self.path, "headers": dict(self.headers), "body": self.rfile.read(length)}
        self.server.seen.append(seen)
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        pass


class Collector(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taken)
        self.seen: list[dict[str, Any]] = []
        self.status = 200
        self.answer = b""
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def listening() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def collector_check(run: Run, *words: str, **environment: str) -> dict[str, str]:
    ended = run("doctor", "--json", *free_ports(), *words, env=environment)
    checks = {check["name"]: check for check in json.loads(ended.out)["checks"]}
    found: dict[str, str] = checks["collector"]
    return found


# req 16.6: one span, as a service sends its own, and what became of it.
def test_a_named_collector_is_sent_a_span(run: Run) -> None:
    secret = "authorization=Bearer%20s3cret"
    with listening() as server:
        found = collector_check(run, "--collector", server.url, OTEL_EXPORTER_OTLP_HEADERS=secret)
        (sent,) = server.seen
        assert found["status"] == "ok"
        assert f"{server.url}/v1/traces took a span, trace " in found["found"]
        trace = found["found"].rpartition(" ")[2]
        assert (sent["path"], sent["headers"]["content-type"]) == (
            *("/v1/traces", "application/x-protobuf"),
        )
        assert sent["headers"]["authorization"] == "Bearer s3cret"
        assert b"tailrace doctor" in sent["body"] and bytes.fromhex(trace) in sent["body"]
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "TAILRACE_TRACING_ENDPOINT"):
            assert collector_check(run, **{name: server.url})["status"] == "ok"
        assert len(server.seen) == 3
        off = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_SDK_DISABLED": "true"}
        assert "none was asked" in collector_check(run, **off)["found"]
        assert len(server.seen) == 3, "nobody is asked that nobody has named"


def test_a_file_names_the_collector_and_its_other_tables_are_not_looked_at(
    run: Run, folder: Path
) -> None:
    with listening() as server:
        (folder / "tailrace.toml").write_text(
            f'[upstreams.orders]\nurl = "http://x"\n\n[tracing]\nendpoint = "{server.url}"\n'
        )
        assert collector_check(run)["status"] == "ok"
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("status", "answer", "said", "fix"),
    [
        (401, b"", "answered 401", "OTEL_EXPORTER_OTLP_HEADERS: authorization="),
        (404, b"", "answered 404", "/v1/traces"),
        (503, b"", "answered 503", "see its log"),
        # partial_success { rejected_spans: 1 }
        (200, b"\x0a\x02\x08\x01", "left the span out", "see its log"),
    ],
)
def test_a_collector_that_does_not_want_it_is_told_with_what_to_do(
    status: int, answer: bytes, said: str, fix: str, run: Run
) -> None:
    with listening() as server:
        server.status, server.answer = status, answer
        found = collector_check(run, "--collector", server.url)
    assert found["status"] == "warn"
    assert said in found["found"]
    assert fix in found["fix"]


def test_silence_and_mistakes_are_told(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        gone = f"http://127.0.0.1:{held.getsockname()[1]}"
    silent = collector_check(run, "--collector", gone)
    assert silent["status"] == "warn"
    assert "does not answer: " in silent["found"] and "refused" in silent["found"].lower()
    wrong = collector_check(run, "--collector", "https://collector:4318")
    assert wrong["status"] == "fail"
    assert "option --collector" in wrong["found"] and "for TLS" in wrong["fix"]
    unknown = collector_check(run, TAILRACE_TRACING_ENDPONT="http://127.0.0.1:4318")
    assert unknown["status"] == "fail"
    assert "TAILRACE_TRACING_ENDPOINT" in unknown["fix"]
    headers = collector_check(run, "--collector", gone, OTEL_EXPORTER_OTLP_HEADERS="s3cret")
    assert headers["status"] == "fail"
    assert "s3cret" not in headers["found"] + headers["fix"]
