"""The order service as its users meet it: real upstream processes, a real shop, real sockets.

First the example's own ground (generator, upstreams, models): a leak test means something only if
the upstreams do send what must not leak. Then the service over it, whole, hurt and leaving.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from examples.orders import models
from examples.orders.asking import Answer, ask, ask_once, reasons
from examples.orders.processes import ROOT, Program, Service, StartError, await_silence, status_of
from examples.orders.truth import UNDECLARED, Truth, differences, keys
from examples.orders.upstreams import NAMES, generate, shop

if TYPE_CHECKING:
    from conftest import Gate, Serve

pytestmark = pytest.mark.e2e

StartAll = Callable[[Path], Program]
OwnUpstream = Callable[[str], tuple[Program, str]]
PROBLEM = "application/problem+json"
CONCURRENT = 200
HELD_PROBES = 200  # a service that leaves soon after SIGTERM does not answer them all


def get_order(service: Service, order_id: str, headers: dict[str, str] | None = None) -> Answer:
    return ask_once(f"{service.url}/api/orders/{order_id}", headers)


def assert_problem(answer: Answer, status: int, codes: set[str], parts: set[str]) -> None:
    """A problem as DESIGN 4 says: RFC 9457, the part, a stable code, the request's id."""
    assert answer.status == status, answer.body
    assert answer.content_type == PROBLEM
    assert answer.json["status"] == status
    assert answer.json["code"] in codes
    assert answer.json["part"] in parts
    assert answer.json["request_id"]
    assert not UNDECLARED & keys(answer.json)


# --- the shop -----------------------------------------------------------------------------------


def dump(directory: Path, name: str) -> list[str]:
    with closing(sqlite3.connect(generate.database_path(directory, name))) as database:
        return list(database.iterdump())


def test_the_same_seed_makes_the_same_shop_and_another_does_not(tmp_path: Path) -> None:
    size = shop.Size(orders=300)
    for folder, seed in (("a", 7), ("b", 7), ("c", 8)):
        generate.generate(tmp_path / folder, seed=seed, size=size)
    for name in NAMES:
        assert dump(tmp_path / "a", name) == dump(tmp_path / "b", name)
        assert dump(tmp_path / "a", name) != dump(tmp_path / "c", name)


def test_a_shop_is_made_once_and_again_when_another_is_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "shop"
    assert generate.generate(target, size=shop.Size(orders=50))
    assert not generate.generate(target, size=shop.Size(orders=50))
    assert generate.generate(target, size=shop.Size(orders=60))
    assert len(Truth(target).order_ids(60)) == 60
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="holds other files"):
        generate.generate(tmp_path, size=shop.Size(orders=50))
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_records_of_the_shop_agree_with_each_other(data: Path) -> None:
    with closing(sqlite3.connect(data / "orders.db")) as database:
        for name in ("users", "inventory", "coupons", "recommend"):
            database.execute(f"ATTACH '{data / f'{name}.db'}' AS {name}_service")

        def count(query: str) -> int:
            return int(database.execute(f"SELECT count(*) FROM {query}").fetchone()[0])

        assert count("orders") == 2_000
        assert count("orders JOIN users_service.users AS u ON u.id = user_id") == 2_000
        sums = "(SELECT order_id, sum(quantity * price_cents) AS cents FROM items GROUP BY 1)"
        assert count(f"orders JOIN {sums} ON order_id = id AND cents = total_cents") == 2_000
        lines = "inventory_service.reservations AS r USING (order_id, position, sku, quantity)"
        assert count("items") == count(f"items JOIN {lines}") > 2_000
        held = """SELECT sku, warehouse, sum(r.quantity) AS held
            FROM inventory_service.reservations AS r JOIN orders ON orders.id = r.order_id
            WHERE status IN ('placed', 'paid', 'packed') GROUP BY 1, 2"""
        stock = "inventory_service.stock LEFT"
        wrong = f"{stock} JOIN ({held}) USING (sku, warehouse) WHERE reserved != ifnull(held, 0)"
        assert count(wrong) == 0
        assert count("inventory_service.stock WHERE reserved > 0") > 0
        assert 0.3 < count("coupons_service.coupons") / count("users_service.users") < 0.5


# --- the upstreams ------------------------------------------------------------------------------

BODIES: dict[str, tuple[str, str, type[BaseModel]]] = {
    "orders": ("/orders/{id}", "order", models.Order),
    "users": ("/users/{user_id}", "user", models.User),
    "inventory": ("/inventory/{id}", "inventory", models.Inventory),
    "coupons": ("/coupons/{user_id}", "coupon", models.Coupon),
    "recommend": ("/recommend/{user_id}", "recommend", models.Recommend),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_upstream_says_what_the_database_says_and_more_than_is_declared(
    urls: dict[str, str], truth: Truth, name: str
) -> None:
    path, part, model = BODIES[name]
    _, parts = truth.example(coupon=True)
    answer = ask_once(urls[name] + path.format_map(parts["order"]))
    assert answer.status == 200, answer.body
    assert answer.content_type == "application/json"
    # Strict, as the plane validates: no coercion.
    declared = model.model_validate_json(answer.body, strict=True)
    assert declared.model_dump(mode="json") == parts[part]
    assert UNDECLARED & keys(answer.json), "nothing here could leak, so nothing would be tested"


def test_stock_answers_for_one_sku(urls: dict[str, str], truth: Truth) -> None:
    for expected in truth.stock_view("o-000000")["stock"]:
        answer = ask_once(f"{urls['inventory']}/stock/{expected['sku']}")
        assert models.Stock.model_validate_json(answer.body, strict=True)
        assert answer.json == expected


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("orders", "/orders/o-999999"),
        ("users", "/users/u-99999"),
        ("inventory", "/inventory/o-999999"),
        ("inventory", "/stock/sku-9999"),
        ("coupons", "/coupons/u-99999"),
        ("recommend", "/recommend/u-99999"),
        ("orders", "/orders/o-000000'%20OR%20'1'='1"),
    ],
)
def test_an_unknown_id_is_a_404_in_json(urls: dict[str, str], name: str, path: str) -> None:
    answer = ask_once(urls[name] + path)
    assert answer.status == 404
    assert answer.content_type == "application/json"
    assert "detail" in answer.json


def test_the_models_also_fit_the_lab() -> None:
    """The lab's recorded bodies and the real shop serve the same service."""
    scenario = json.loads((ROOT / "crates/tailrace-lab/src/orders.json").read_bytes())
    assert {entry["name"] for entry in scenario["upstreams"]} == set(BODIES)
    for entry in scenario["upstreams"]:
        model = BODIES[entry["name"]][2]
        declared = model.model_validate_json(json.dumps(entry["body"]), strict=True)
        assert UNDECLARED & keys(entry["body"])
        assert not UNDECLARED & keys(declared.model_dump())


def test_the_starter_announces_upstreams_and_stops_them(start_all: StartAll, data: Path) -> None:
    with start_all(data) as starter:
        urls = starter.ready()["upstreams"]
        assert list(urls) == list(NAMES)
        assert [status_of(url) for url in urls.values()] == [404] * 5
        starter.signal(signal.SIGTERM)
        assert starter.wait() == 0
        assert [status_of(url) for url in urls.values()] == [None] * 5


def test_upstreams_do_not_outlive_a_killed_starter(start_all: StartAll, data: Path) -> None:
    with start_all(data) as starter:
        urls = starter.ready()["upstreams"]
        starter.kill()
        for url in urls.values():
            await_silence(url)


def test_an_upstream_without_data_says_how_to_make_it(start_all: StartAll, tmp_path: Path) -> None:
    with (
        start_all(tmp_path / "nothing") as starter,
        pytest.raises(StartError, match=r"ended with 3[\s\S]*upstreams\.generate --data"),
    ):
        starter.ready()


# --- the service, well --------------------------------------------------------------------------


def test_a_whole_reply_is_what_the_database_says(healthy: Service, truth: Truth) -> None:
    """req 10.1, 10.2: five parts in declared order, `degraded`, `request_id`, `served_at_ms`."""
    order_id, parts = truth.example(coupon=True)
    answer = get_order(healthy, order_id)
    assert answer.status == 200, answer.body
    assert answer.content_type == "application/json"
    assert differences(answer.json, parts) == []
    assert "Tailrace-Degraded" not in answer.headers
    assert isinstance(answer.json["served_at_ms"], int | float)


def test_undeclared_fields_never_appear(healthy: Service, truth: Truth) -> None:
    """DESIGN 4: not as keys, and not as bytes hidden in a value either."""
    for order_id in truth.order_ids(25):
        answer = get_order(healthy, order_id)
        assert answer.status == 200, answer.body
        assert not UNDECLARED & keys(answer.json)
        assert b"argon2id" not in answer.body


def test_a_coupon_nobody_has_is_missing_and_says_so(healthy: Service, truth: Truth) -> None:
    """A weak part's 404 is `missing(not_found)`: null, named, and the reply is still a 200."""
    order_id, parts = truth.example(coupon=False)
    answer = get_order(healthy, order_id)
    assert answer.status == 200, answer.body
    assert differences(answer.json, parts) == []
    assert answer.degraded == {"coupon": "not_found"}


def test_one_call_per_item_keeps_positions(healthy: Service, truth: Truth) -> None:
    for order_id in truth.order_ids(25):
        answer = get_order(healthy, f"{order_id}/stock")
        assert answer.status == 200, answer.body
        assert differences(answer.json, truth.stock_view(order_id)) == []


def test_an_unknown_order_is_the_callers_404(healthy: Service) -> None:
    """req 10.3. Inventory does not know it either, and may be the first to say so."""
    answer = get_order(healthy, "o-999999")
    assert_problem(answer, 404, {"not_found"}, {"order", "inventory"})


def test_a_missing_id_is_a_400(healthy: Service) -> None:
    """req 10.3."""
    answer = get_order(healthy, "")
    assert answer.status == 400, answer.body
    assert answer.content_type == PROBLEM


def test_the_request_id_is_echoed_or_made(healthy: Service, truth: Truth) -> None:
    """req 10.2."""
    named = {"X-Request-Id": "checkout-7f3a"}
    assert get_order(healthy, "o-000000", named).json["request_id"] == "checkout-7f3a"
    assert get_order(healthy, "o-999999", named).json["request_id"] == "checkout-7f3a"
    made = {get_order(healthy, "o-000000").json["request_id"] for _ in range(20)}
    assert len(made) == 20
    assert all(made)


def test_replies_to_many_at_once_do_not_mix(healthy: Service, truth: Truth) -> None:
    """Sent together; every part of every reply belongs to its own order."""
    expected = {order_id: truth.order_view(order_id) for order_id in truth.order_ids(CONCURRENT)}
    start = threading.Barrier(CONCURRENT)

    def one(order_id: str) -> list[str]:
        with closing(healthy.connect()) as connection:
            connection.connect()
            start.wait()
            answer = ask(connection, f"/api/orders/{order_id}", {"X-Request-Id": f"r-{order_id}"})
        assert answer.status == 200, answer.body
        wrong = differences(answer.json, expected[order_id])
        if answer.json["request_id"] != f"r-{order_id}":
            wrong.append(f"request_id is {answer.json['request_id']!r}")
        return wrong

    with ThreadPoolExecutor(CONCURRENT) as pool:
        wrong = dict(zip(expected, pool.map(one, expected), strict=True))
    assert {order_id: found for order_id, found in wrong.items() if found} == {}


# --- the service, hurt --------------------------------------------------------------------------


def test_a_dead_weak_upstream_degrades_the_reply(
    serve: Serve, own_upstream: OwnUpstream, truth: Truth
) -> None:
    coupons, url = own_upstream("coupons")
    service = serve({"coupons": url})
    order_id, parts = truth.example(coupon=True)
    assert differences(get_order(service, order_id).json, parts) == []
    coupons.kill()
    # The first may meet the old connection, later ones find nobody listening.
    for _ in range(3):
        answer = get_order(service, order_id)
        assert answer.status == 200, answer.body
        assert differences(answer.json, parts, degraded={"coupon": None}) == []
        assert answer.json["degraded"] == ["coupon"]
        assert answer.degraded.keys() == {"coupon"}
        assert answer.degraded["coupon"] in {"connect", "reset"}


def test_a_dead_strong_upstream_is_a_502(
    serve: Serve, own_upstream: OwnUpstream, truth: Truth
) -> None:
    """req 10.3."""
    users, url = own_upstream("users")
    service = serve({"users": url})
    users.kill()
    answer = get_order(service, "o-000000")
    assert_problem(answer, 502, {"connect", "reset"}, {"user"})


def test_a_strong_upstream_that_hangs_is_a_504_of_its_timeout(
    serve: Serve, own_upstream: OwnUpstream, truth: Truth
) -> None:
    """req 10.3: only the users timeout of 60 ms is left to end this request."""
    users, url = own_upstream("users")
    service = serve({"users": url}, keep_timeout_of="users")
    users.signal(signal.SIGSTOP)
    answer = get_order(service, "o-000000")
    assert_problem(answer, 504, {"timeout"}, {"user"})


def test_the_declared_limits_end_a_hang_while_a_patient_service_waits(
    serve: Serve, own_upstream: OwnUpstream, users_gate: Gate, truth: Truth
) -> None:
    """req 10.1, by order of events and not by a clock: a service with seconds to spare waits first,
    the one with its declared limits answers, and what the first waited for still comes in time. On
    a busy machine another strong part may be the late one.
    """
    users, url = own_upstream("users")
    patient = serve({"users": users_gate.url})
    declared = serve({"users": url}, as_declared=True)
    order_id, parts = truth.example(coupon=True)
    users.signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(get_order, patient, order_id)
        assert users_gate.arrived.wait(30), "the request never reached the users service"
        answer = get_order(declared, order_id)
        users_gate.opened.set()
        assert differences(pending.result(30).json, parts) == []
    assert_problem(answer, 504, {"timeout", "deadline"}, {"user", "order", "inventory"})


# --- the service, leaving -----------------------------------------------------------------------


def test_sigterm_finishes_what_is_in_flight(serve: Serve, users_gate: Gate, truth: Truth) -> None:
    """Not ready, then finish, then close (req 11.4)."""
    service = serve({"users": users_gate.url})
    order_id, parts = truth.example(coupon=True)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(get_order, service, order_id)
        assert users_gate.arrived.wait(30), "the request never reached the users service"
        service.program.signal(signal.SIGTERM)
        service.program.await_status(f"{service.admin}/readyz", 503)
        for _ in range(HELD_PROBES):
            assert status_of(f"{service.admin}/readyz") == 503
        assert not pending.done()
        users_gate.opened.set()
        answer = pending.result(30)
    assert answer.status == 200, answer.body
    assert differences(answer.json, parts) == []
    # Ended by the signal or with the code shells show for it; both read as 143.
    assert service.program.wait() in {128 + signal.SIGTERM, -signal.SIGTERM}


# --- the checkers themselves --------------------------------------------------------------------


def test_the_checkers_see_what_they_are_for(truth: Truth) -> None:
    """A checker that finds nothing anywhere would make every test above pass."""
    _, parts = truth.example(coupon=True)
    envelope = {"degraded": [], "request_id": "r", "served_at_ms": 1}
    good = {**parts, **envelope}
    assert differences(good, parts) == []
    assert differences({**good, "coupon": None}, parts) != []
    assert differences({**good, "degraded": ["coupon"]}, parts) != []
    assert differences({**envelope, **parts}, parts) != []
    leaky = {**good, "user": {**parts["user"], "password_hash": "x"}}
    assert any("leaked" in line for line in differences(leaky, parts))
    other = {**good, "inventory": {**parts["inventory"], "order_id": "o-000001"}}
    assert any(line.startswith("inventory") for line in differences(other, parts))
    header = "coupon;reason=timeout, recommend;reason=breaker_open;served=stale;age=3"
    assert reasons(header) == {"coupon": "timeout", "recommend": "breaker_open"}
    with pytest.raises(ValueError, match="no reason"):
        reasons("coupon")


def test_make_example_passes(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.orders.run", "--data", str(data)]
    arguments = [*command, "--orders", "2000", "--ask", "10"]
    log = tmp_path / "log"
    with Program("make example", arguments, log=log, ready_line=False) as example:
        assert example.wait() == 0, log.read_text()
    assert "A degraded reply" in log.read_text()
