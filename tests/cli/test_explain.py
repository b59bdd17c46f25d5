"""`explain`: the page, the origins, the data, and the pages of codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from running import SERVICE, Run
from tailrace.cli.explain.limits import DEFAULTS, QUEUE_LEAST, queue_of, size
from tailrace.errors import CODES

LIMITS_RS = Path(__file__).parents[2] / "crates/tailrace-blueprint/src/limits.rs"
UPSTREAM_RS = LIMITS_RS.with_name("upstream.rs")

PAGE = """\
shop   1 view, 2 upstreams   service.py

GET /api/orders/{order_id}
  view order, deadline 150 ms, fan-out 8

  `- order    strong  orders  80 ms  GET /orders/{order_id}
     `- user  weak    users   60 ms  GET /users/{order.user_id}

  stages       order then user
  worst time   order 80 ms of 150 ms, 70 ms to spare
  worst calls  2 calls per request (orders 1, users 1); to one upstream at most
               1 at a time
  attempts     4 at most: 2 calls, 2 retries or hedges
  degrades     user: missing rather than late

upstream  timeout  bulkhead  queue  body max  address
orders      80 ms        40     40     4 MiB  http://127.0.0.1:9001
users       60 ms        40     40     4 MiB  http://127.0.0.1:9002

upstream  attempts    backoff  budget  min/s  hedge after  extra  delay min
orders           2  10-100 ms     10%      1            -      -          -
users            2  10-100 ms     10%      1            -      -          -

upstream  in a row  success  slow  out for  throttle  at most  in flight
orders           7     <50%     -   1s-60s        x2      90%          -
users            7     <50%     -   1s-60s        x2      90%          -

admission
  clients      known by address; trusted: nobody
  rates        none
  in progress  requests that need 8192 calls
  left out     from 85% to 97% pressure; order: user
  refused      by priority, once work waits 5ms or 95% of the CPU is used
  too late     refused without a call, at most 20% of requests

Times and counts are bounds from the declaration; nothing was measured.
--origin shows where each value came from, --json the blueprint itself.
"""

EACH = SERVICE.replace("    user_id: str\n", "    user_id: str\n    skus: list[str]\n").replace(
    "    user: User | None",
    '    price: list[User] = strong(users.get("/prices/{item}"), each="order.skus", each_max=20)\n'
    "    user: User | None",
)


def test_the_page(run: Run) -> None:
    ended = run("explain", "service.py")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == PAGE
    assert run("explain").out == PAGE
    assert run("explain", "service:service").out == PAGE.replace("service.py", "service:service")


def test_a_list_shows_its_bound_and_an_allowed_overcommit_its_reason(
    run: Run, folder: Path
) -> None:
    """The sum, what is allowed and why stand on the page."""
    (folder / "service.py").write_text(EACH)
    env = {"TAILRACE_VIEWS_ORDER_ALLOW_OVERCOMMIT": "lists are short, said the warehouse"}
    ended = run("explain", "service.py", env=env)
    assert ended.code == 0
    out = ended.out
    assert (
        "  `- order     strong  orders  80 ms  GET /orders/{order_id}\n"
        "     +- price  strong  users   60 ms  GET /prices/{item}\n"
        "     |         (for each of order.skus, at most 20, 3 rounds of 8)\n"
        "     `- user   weak    users   60 ms  GET /users/{order.user_id}\n"
    ) in out
    assert (
        "  worst time   order 80 + price 60 x 3 = 260 ms, 110 ms over the deadline of 150\n"
        "               ms: the request would end with 504 first\n"
    ) in out
    assert "worst calls  22 calls per request (orders 1, users 21)" in out
    assert (
        "  allowed      the strong parts of view order do not fit its deadline: order\n"
        "               80ms + price 60ms x 3 rounds = 260ms > 150ms\n"
        "  because      lists are short, said the warehouse\n"
    ) in out
    assert max(map(len, out.splitlines())) <= 80
    (finding,) = json.loads(run("explain", "service.py", "--json", env=env).out)["analysis"][
        "views"
    ][0]["findings"]
    assert (finding["verdict"], finding["code"], len(finding["sum"])) == ("allowed", "TR114", 3)


def test_what_does_not_fit_is_refused_with_its_sum(run: Run, folder: Path) -> None:
    """The same words and the same exit code from `explain` and `serve`, before a port opens."""
    (folder / "service.py").write_text(EACH)
    for verb in ("explain", "serve"):
        ended = run(verb, "service.py")
        assert (ended.code, ended.out) == (2, "")
        assert "order 80ms + price 60ms x 3 rounds = 260ms > 150ms" in ended.err
        assert "= note: sum: 260ms, deadline: 150ms (code service.py:19)" in ended.err
        assert "tailrace explain TR114" in ended.err
    ended = run("explain", "service.py", "--json")
    assert ended.code == 2
    assert '"code": "TR114"' in ended.out + ended.err


def test_origins_name_the_source_of_each_value(run: Run, folder: Path) -> None:
    (folder / "tailrace.toml").write_text('[upstreams.orders]\ntimeout = "90ms"\n')
    ended = run("explain", "--origin", env={"TAILRACE_LISTEN_PORT": "8085"})
    assert ended.code == 0
    lines = [re.split(r"\s{2,}", line.strip()) for line in ended.out.splitlines()]
    assert ["timeout_ms", "90", "tailrace.toml:2"] in lines
    assert ["port", "8085", "env TAILRACE_LISTEN_PORT"] in lines
    assert ["deadline_ms", "150", "code service.py:18"] in lines
    assert ["idle_ms", "30000", "default"] in lines
    assert ["bulkhead.queue", "40", "default"] in lines
    assert ["retry.attempts", "2", "default"] in lines
    assert ["hedge", "off", "default"] in lines
    assert ["breaker.open_ms", "1000", "default"] in lines
    assert ["throttle.reject_max", "0.9", "default"] in lines
    assert ["adaptive", "off", "default"] in lines
    assert ["extra_attempts", "3", "default"] in lines
    assert max(map(len, ended.out.splitlines())) <= 80
    assert ["enabled", "off", "default"] in lines


def test_origins_say_where_traces_go_and_who_said_so(run: Run) -> None:
    """req 16.6: OpenTelemetry's own variables are an origin like any other."""
    env = {
        "TAILRACE_TRACING_SHARE": "5%",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hunter2",
    }
    ended = run("explain", "--origin", env=env)
    assert ended.code == 0
    lines = [re.split(r"\s{2,}", line.strip()) for line in ended.out.splitlines()]
    assert ["enabled", "on", "env TAILRACE_TRACING_SHARE"] in lines
    assert ["share", "0.05", "env TAILRACE_TRACING_SHARE"] in lines
    assert ["endpoint", "http://c:4318/v1/traces"] in lines
    assert ["env OTEL_EXPORTER_OTLP_ENDPOINT"] in lines
    assert "hunter2" not in ended.out


def test_json_is_the_blueprint_and_its_analysis(run: Run) -> None:
    found = json.loads(run("explain", "service.py", "--json").out)
    assert found["format_version"] == 1
    assert found["blueprint"]["service"] == "shop"
    assert found["origins"]["upstreams.orders.timeout_ms"].startswith("code service.py:")
    (view,) = found["analysis"]["views"]
    assert view["stages"] == [["order"], ["user"]]
    assert (view["strong_ms"], view["over_ms"], view["calls_max"]) == (80.0, 0.0, 2)
    assert view["attempts_max"] == 4


def test_a_hedge_and_its_share_of_the_purse_are_shown(run: Run) -> None:
    env = {
        "TAILRACE_UPSTREAMS_ORDERS_HEDGE_AFTER": "p99.5",
        "TAILRACE_UPSTREAMS_USERS_RETRY": "off",
    }
    out = run("explain", "service.py", env=env).out
    assert "\n  attempts     5 at most: 2 calls, 3 retries or hedges (extra_attempts 3)\n" in out
    cells = [line.split() for line in out.splitlines()]
    assert ["orders", "2", "10-100", "ms", "10%", "1", "p99.5", "5%", "1", "ms"] in cells
    assert ["users", *"-------"] in cells
    once = run("explain", "service.py", env={"TAILRACE_SERVICE_EXTRA_ATTEMPTS": "0"}).out
    assert "\n  attempts     each call is sent once: no retries, no hedges\n" in once


def test_guards_are_shown_and_a_dash_is_off(run: Run) -> None:
    env = {
        "TAILRACE_UPSTREAMS_ORDERS_BREAKER_SLOW": "60ms",
        "TAILRACE_UPSTREAMS_ORDERS_ADAPTIVE": "on",
        "TAILRACE_UPSTREAMS_USERS_BREAKER": "off",
        "TAILRACE_UPSTREAMS_USERS_THROTTLE": "off",
    }
    cells = [line.split() for line in run("explain", "service.py", env=env).out.splitlines()]
    assert ["orders", "7", "<50%", "60ms", "1s-60s", "x2", "90%", "4-40"] in cells
    assert ["users", *"-------"] in cells


def test_caches_are_shown_with_the_times_in_force(run: Run) -> None:
    env = {
        "TAILRACE_UPSTREAMS_USERS_CACHE_TTL": "2s",
        "TAILRACE_UPSTREAMS_USERS_CACHE_STALE": "30s",
    }
    cells = [line.split() for line in run("explain", "service.py", env=env).out.splitlines()]
    assert ["users", "2s", "30s", "30s", "500ms", "shared"] in cells
    origins = run("explain", "service.py", "--origin", env=env).out
    assert "cache.stale_ms" in origins


def test_what_is_off_says_so(run: Run, folder: Path) -> None:
    """A service without any protection of admission has a page too."""
    off = "Admission(shed=None, brownout=None, feasibility=None)"
    text = "from tailrace.policies import Admission\n" + SERVICE
    (folder / "service.py").write_text(text.replace("deadline=", f"admission={off}, deadline=", 1))
    ended = run("explain", "service.py")
    assert (ended.code, ended.err) == (0, "")
    for line in ("  left out     off", "  refused      off", "  too late     off"):
        assert line in ended.out.splitlines()


def test_variables_of_other_verbs_are_no_mistake(run: Run) -> None:
    env = {
        "TAILRACE_DEMO_RATE": "5",
        "TAILRACE_LAB_ADMIN": "127.0.0.1:1",
        "TAILRACE_COLOR": "never",
    }
    assert run("explain", "service.py", env=env).out == PAGE


def test_relative_imports_work_from_a_file(run: Run, folder: Path) -> None:
    package = folder / "shop" / "orders"
    package.mkdir(parents=True)
    (folder / "shop" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "limits.py").write_text('DEADLINE = "150ms"\n')
    text = SERVICE.replace('deadline="150ms"', "deadline=DEADLINE")
    (package / "service.py").write_text("from .limits import DEADLINE\n" + text)
    ended = run("explain", "shop/orders/service.py")
    assert ended.err == ""
    assert "deadline 150 ms" in ended.out


def test_a_file_named_like_a_standard_module_is_still_the_users(run: Run, folder: Path) -> None:
    (folder / "queue.py").write_text(SERVICE)
    assert run("explain", "queue.py").out == PAGE.replace("service.py", "queue.py")


def test_every_code_has_a_page_that_fits(run: Run) -> None:
    listed = run("explain", "--codes").out.splitlines()
    assert [line.split()[0] for line in listed] == sorted(CODES)
    ended = run("explain", "tr104")
    assert ended.out.splitlines()[0] == "TR104: A weak part needs a fallback"
    data = json.loads(run("explain", "--codes", "--json").out)
    assert set(data["codes"]) == set(CODES)


def test_the_defaults_are_those_of_the_plane() -> None:
    """The blueprint's source is the one truth; this table must follow it."""
    text = LIMITS_RS.read_text()
    for section, name in (("listen", "Listen"), ("limits", "Limits"), ("access_log", "AccessLog")):
        body = re.search(rf"impl Default for {name} \{{.*?Self \{{(.*?)\n        \}}", text, re.S)
        assert body is not None
        found = dict(re.findall(r"(\w+): (.+?),\n", body[1] + "\n"))
        assert found.keys() == DEFAULTS[section].keys()
        for key, value in found.items():
            assert rust(value) == DEFAULTS[section][key], f"{section}.{key}"
    assert f"max({QUEUE_LEAST}, limit)" in UPSTREAM_RS.read_text()


def rust(literal: str) -> object:
    """A default as Python has it."""
    if literal.startswith('"'):
        return literal.split('"')[1]
    if literal == "None":
        return None
    if "::" in literal:
        return literal.rpartition("::")[2].lower()
    product = 1
    for factor in literal.split(" * "):
        product *= int(factor.replace("_", ""))
    return product


def test_sizes_and_queues() -> None:
    assert [size(n) for n in (0, 1, 1024, 1536, 4 << 20)] == [
        "0 B",
        "1 B",
        "1 KiB",
        "1536 B",
        "4 MiB",
    ]
    assert [queue_of({"limit": n}) for n in (1, 8, 40)] == [8, 8, 40]
    assert queue_of({"limit": 40, "queue": 0}) == 0
