"""Overrides: precedence, origins, and refusals that point at the line.

`CODES` of config files are sampled here; those of declarations in `mistakes/`.
"""

from pathlib import Path
from typing import Any

import pytest
import shop
from tailrace import ConfigError, DeclarationError
from tailrace._config import resolve, variables

ORDERS = "TAILRACE_UPSTREAMS_ORDERS"


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "tailrace.toml"
    path.write_text(text)
    return str(path)


def upstream(blueprint: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in blueprint["upstreams"] if row["name"] == name)


def test_without_overrides_the_blueprint_is_the_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(shop.service).blueprint == shop.service.blueprint()


EVERYTHING = """
[service]
deadline = "200ms"
fanout = 4

[listen]
host = "0.0.0.0"
port = 8081
workers = "auto"

[limits]
drain = "0s"
head_max = "8KiB"
headers_max = 50

[envelope]
degraded = "missing"

[access_log]
format = "text"
path = "/var/log/access.log"

[upstreams.orders]
url = "http://10.0.0.7:9001"
timeout = "70ms"
bulkhead = { limit = 10, queue = 3 }
retry = { attempts = 1, budget = "5%" }
hedge.after = "p99"
breaker = { consecutive = 3, slow = "60ms" }
throttle.factor = 3
adaptive = { min = 2, init = 5 }
forward_headers = ["x-tenant"]
body_max = "1MiB"

[upstreams.users]
addresses = ["http://a:1", "http://b:1"]
bulkhead = 7
retry = "off"
breaker = "off"
throttle = "off"
adaptive = "on"

[views.order]
deadline = "120ms"
fanout = 2
extra_attempts = 1
allow_overcommit = "two at a time until the warehouse is bigger"
"""


def test_a_file_sets_everything(tmp_path: Path) -> None:
    found = resolve(shop.service, write(tmp_path, EVERYTHING)).blueprint
    assert found["listen"] == {"host": "0.0.0.0", "port": 8081, "workers": None}
    assert found["limits"] == {"drain_ms": 0, "head_max_bytes": 8192, "headers_max": 50}
    assert found["access_log"] == {"format": "text", "path": "/var/log/access.log"}
    assert found["envelope"]["degraded"] == "missing"
    assert upstream(found, "orders") == {
        "name": "orders",
        "addresses": ["http://10.0.0.7:9001"],
        "timeout_ms": 70.0,
        "bulkhead": {"limit": 10, "queue": 3},
        "retry": {
            "attempts": 1,
            "backoff_ms": 10.0,
            "backoff_max_ms": 100.0,
            "budget": 0.05,
            "budget_min": 1,
        },
        "hedge": {"after": 0.99, "extra": 0.05, "delay_min_ms": 1.0},
        "breaker": {
            "consecutive": 3,
            "success_min": 0.5,
            "samples_min": 20,
            "slow_ms": 60.0,
            "open_ms": 1_000.0,
            "open_max_ms": 60_000.0,
        },
        "throttle": {"factor": 3.0, "requests_min": 50, "reject_max": 0.9},
        "adaptive": {"min": 2, "init": 5},
        "forward_headers": ["x-tenant"],
        "body_max_bytes": 1 << 20,
    }
    assert upstream(found, "users")["addresses"] == ["http://a:1", "http://b:1"]
    assert upstream(found, "users")["bulkhead"] == {"limit": 7}
    assert not {"retry", "breaker", "throttle"} & set(upstream(found, "users"))
    assert upstream(found, "users")["adaptive"] == {"min": 4, "init": 7}, "fitted to its bulkhead"
    view = found["views"][0]
    assert (view["deadline_ms"], view["fanout"], view["extra_attempts"]) == (120.0, 2, 1)
    assert view["allow_overcommit"] == "two at a time until the warehouse is bigger"


def test_the_environment_sets_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        "TAILRACE_SERVICE_DEADLINE": "300ms",
        "TAILRACE_LISTEN_PORT": "8081",
        "TAILRACE_LIMITS_DRAIN": "5s",
        "TAILRACE_UPSTREAMS_ORDERS_URL": "http://10.0.0.7:9001",
        "TAILRACE_UPSTREAMS_ORDERS_BULKHEAD": "9",
        "TAILRACE_UPSTREAMS_ORDERS_BULKHEAD_QUEUE": "0",
        "TAILRACE_UPSTREAMS_USERS_ADDRESSES": "http://a:1, http://b:1",
        "TAILRACE_UPSTREAMS_ORDERS_FORWARD_HEADERS": "x-a,x-b",
        "TAILRACE_UPSTREAMS_ORDERS_RETRY_ATTEMPTS": "1",
        "TAILRACE_UPSTREAMS_ORDERS_RETRY_BUDGET": "0.2",
        "TAILRACE_UPSTREAMS_ORDERS_HEDGE_AFTER": "p99.5",
        "TAILRACE_UPSTREAMS_USERS_RETRY": "off",
        "TAILRACE_UPSTREAMS_ORDERS_BREAKER_OPEN": "2s",
        "TAILRACE_UPSTREAMS_ORDERS_THROTTLE_FACTOR": "1.5",
        "TAILRACE_UPSTREAMS_ORDERS_ADAPTIVE_MIN": "2",
        "TAILRACE_UPSTREAMS_USERS_BREAKER": "off",
        "TAILRACE_SERVICE_EXTRA_ATTEMPTS": "0",
        "TAILRACE_VIEWS_ORDER_FANOUT": "3",
        "PATH": "/bin",
    }
    resolved = resolve(shop.service, environ=environ)
    found = resolved.blueprint
    assert found["listen"]["port"] == 8081
    assert found["limits"]["drain_ms"] == 5000
    assert upstream(found, "orders")["addresses"] == ["http://10.0.0.7:9001"]
    assert upstream(found, "orders")["bulkhead"] == {"limit": 9, "queue": 0}
    assert upstream(found, "orders")["forward_headers"] == ["x-a", "x-b"]
    assert upstream(found, "users")["addresses"] == ["http://a:1", "http://b:1"]
    assert (found["views"][0]["deadline_ms"], found["views"][0]["fanout"]) == (300.0, 3)
    retry, hedge = upstream(found, "orders")["retry"], upstream(found, "orders")["hedge"]
    assert (retry["attempts"], retry["budget"], hedge["after"]) == (1, 0.2, 0.995)
    assert "retry" not in upstream(found, "users")
    orders = upstream(found, "orders")
    assert orders["breaker"]["open_ms"] == 2_000.0
    assert (orders["throttle"]["factor"], orders["adaptive"]["min"]) == (1.5, 2)
    assert "breaker" not in upstream(found, "users")
    assert resolved.origin("upstreams.orders.breaker.open_ms") == f"env {ORDERS}_BREAKER_OPEN"
    assert resolved.origin("upstreams.orders.throttle.reject_max") == "default"
    assert found["views"][0]["extra_attempts"] == 0
    retry_key = "upstreams.orders.retry"
    assert resolved.origin(f"{retry_key}.attempts") == f"env {ORDERS}_RETRY_ATTEMPTS"
    assert resolved.origin(f"{retry_key}.backoff_ms") == "default"
    assert resolved.origin("upstreams.users.retry") == "env TAILRACE_UPSTREAMS_USERS_RETRY"
    assert resolved.origin("views.order.extra_attempts") == "env TAILRACE_SERVICE_EXTRA_ATTEMPTS"
    assert resolved.origin("limits.drain_ms") == "env TAILRACE_LIMITS_DRAIN"


def test_flag_beats_environment_beats_file_beats_code(tmp_path: Path) -> None:
    path = write(tmp_path, '[service]\nfanout = 9\n[views.order]\ndeadline = "180ms"\n')
    key = "views.order.deadline_ms"
    env = {"TAILRACE_VIEWS_ORDER_DEADLINE": "170ms"}
    flags = {"views.order.deadline": "160ms"}
    layers: list[tuple[Any, ...]] = [
        (None, None, None, 150.0, "code "),
        (path, None, None, 180.0, f"{path}:4"),
        (path, env, None, 170.0, "env TAILRACE_VIEWS_ORDER_DEADLINE"),
        (path, env, flags, 160.0, "flag --deadline"),
    ]
    for file, environ, flag, deadline, origin in layers:
        found = resolve(shop.service, file, environ, flag)
        assert found.blueprint["views"][0]["deadline_ms"] == deadline
        assert found.origin(key).startswith(origin)
    assert found.origin("views.order.fanout") == f"{path}:2"
    assert found.origin("limits.idle_ms") == "default"


def test_the_file_is_found_here_or_by_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "[listen]\nport = 1\n")
    (tmp_path / "other.toml").write_text("[listen]\nport = 2\n")
    assert resolve(shop.service).blueprint["listen"]["port"] == 1
    environ = {"TAILRACE_CONFIG": "other.toml"}
    assert resolve(shop.service, environ=environ).blueprint["listen"]["port"] == 2


REFUSED = [
    ("TR201", '[limit]\ndrain = "1s"\n', 1, "did you mean `limits`?"),
    ("TR201", '[limits]\ndrian = "1s"\n', 2, "did you mean `drain`?"),
    ("TR201", 'drain = "1s"\n', 1, "it belongs under [limits]"),
    ("TR201", "[upstreams.orders]\nbulkhead = { limt = 1 }\n", 2, "bulkhead"),
    (
        "TR201",
        '[views.order]\ntimeout = "1s"\n',
        2,
        "keys: `allow_overcommit`, `computed.limit`, `computed.time`, `deadline`, `drop`",
    ),
    ("TR201", "[upstreams.orders]\nretry = { attemps = 1 }\n", 2, "did you mean `retry.attempts`?"),
    ("TR203", "[upstreams.orders]\nretry = 3\n", 2, 'write "on" or "off"'),
    ("TR203", '[listen]\nport = "http"\n', 2, "write a whole number from 0 to 65535"),
    ("TR203", "[listen]\nport = 70000\n", 2, "write a whole number from 0 to 65535"),
    ("TR203", "[listen]\nport = true\n", 2, "write a whole number from 0 to 65535"),
    ("TR203", "[listen]\nhost = 1\n", 2, "write text"),
    ("TR203", "limits = 5\n", 1, "write [limits] above its keys"),
    ("TR203", "[upstreams]\norders = 5\n", 2, "write [upstreams.orders] above its keys"),
    ("TR203", '[access_log]\nformat = "xml"\n', 2, 'write one of "json", "text", "off"'),
    ("TR203", "[upstreams.orders]\naddresses = [1]\n", 2, "write a list of text"),
    ("TR203", '[upstreams.orders]\nurl = "http://a"\naddresses = ["http://b"]\n', 2, "keep one"),
    ("TR001", "[limits]\ndrain = 15\n", 2, 'did you mean "15ms"?'),
    ("TR001", '[limits]\nhead_max = "4096"\n', 2, 'did you mean "4096KiB"?'),
    ("TR002", '[limits]\nidle = "1.5ms"\n', 2, 'try "1ms"'),
    ("TR003", '[limits]\nidle = "0s"\n', 2, "a limit of nothing refuses every request"),
    ("TR204", "[limits]\ndrain = \n", 2, ""),
    ("TR205", '[upstreams.order]\ntimeout = "1s"\n', 1, "did you mean `orders`?"),
    ("TR205", '[views.orders]\ndeadline = "1s"\n', 1, "did you mean `order`?"),
]


@pytest.mark.parametrize(("code", "text", "line", "hint"), REFUSED)
def test_a_wrong_file_is_refused_at_its_line(
    tmp_path: Path, code: str, text: str, line: int, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(shop.service, write(tmp_path, text))
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.place is not None
    assert problem.place.line == line
    assert hint in " ".join(problem.helps)
    assert f"{line} |" in problem.render()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("TAILRACE_LISTEN_PROT", "did you mean `TAILRACE_LISTEN_PORT`?"),
        ("TAILRACE_UPSTREAMS_ORDER_URL", "did you mean `TAILRACE_UPSTREAMS_ORDERS_URL`?"),
    ],
)
def test_an_unknown_variable_is_refused(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(shop.service, environ={name: "1"})
    assert [problem.code for problem in caught.value.problems] == ["TR202"]
    assert hint in caught.value.render()
    assert name in caught.value.render()


def test_variables_of_the_command_line_are_let_through() -> None:
    environ = {"TAILRACE_COLOR": "never"}
    resolve(shop.service, environ=environ, other_variables=["TAILRACE_COLOR"])


def test_an_unknown_flag_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"did you mean `listen\.port`"):
        resolve(shop.service, flags={"listen.prt": 1})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TR206") as caught:
        resolve(shop.service, str(tmp_path / "nothing.toml"))
    assert "No such file" in str(caught.value)


def test_all_mistakes_of_all_sources_are_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "[listen]\nprot = 1\n")
    with pytest.raises(ConfigError) as caught:
        resolve(shop.service, path, {"TAILRACE_NOTHING": "1"}, {"listen.port": "x"})
    assert [problem.code for problem in caught.value.problems] == ["TR201", "TR202", "TR203"]


def test_a_value_that_only_the_lowering_can_judge_points_at_the_file(tmp_path: Path) -> None:
    """The lowering reads the upstream's timeout, the file's line is what must change."""
    path = write(tmp_path, "[upstreams.orders]\ntimeout = 80\n")
    with pytest.raises(DeclarationError) as caught:
        resolve(shop.service, path)
    (problem,) = caught.value.problems
    assert problem.code == "TR001"
    assert problem.place is not None
    assert (problem.place.file, problem.place.line) == (path, 2)


def test_a_variable_in_an_error_is_named() -> None:
    environ = {"TAILRACE_UPSTREAMS_ORDERS_URL": "https://me:secret@orders:1"}
    with pytest.raises(DeclarationError) as caught:
        resolve(shop.service, environ=environ)
    rendered = caught.value.render()
    assert "environment variable TAILRACE_UPSTREAMS_ORDERS_URL" in rendered
    assert "secret" not in rendered


def test_the_variables_of_a_service_can_be_listed() -> None:
    known = variables(shop.service)
    assert known["TAILRACE_UPSTREAMS_ORDERS_TIMEOUT"] == "upstreams.orders.timeout"
    assert known["TAILRACE_LIMITS_HEAD_MAX"] == "limits.head_max"
