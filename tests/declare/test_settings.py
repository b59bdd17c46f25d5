"""What a change over the admin port is made of, and when a file has changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import shop
from tailrace import ConfigError
from tailrace._config import resolve
from tailrace._live import RefusedError, merged, tables
from tailrace._watch import FileWatch


@pytest.mark.parametrize(
    ("old", "patch", "new"),
    [
        ({}, {"limits": {"idle": "5s"}}, {"limits": {"idle": "5s"}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}, "d": {}}, {"a": None}, {"d": {}}),
        ({"a": 1}, {"a": {"b": {"c": None, "d": 2}}}, {"a": {"b": {"d": 2}}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({}, {"a": None}, {}),
    ],
)
def test_a_patch_sets_and_takes_away(old: Any, patch: Any, new: Any) -> None:
    before = repr(old)
    assert merged(old, patch) == new
    assert repr(old) == before, "what is in force is not touched before the plane agrees"


def test_a_body_is_json_or_toml() -> None:
    assert tables("json", b'{"limits": {"idle": "5s"}}') == {"limits": {"idle": "5s"}}
    assert tables("toml", b'[limits]\nidle = "5s"') == {"limits": {"idle": "5s"}}


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("json", b"", "the body is not JSON: "),
        ("json", b"[1]", "the body is an object: "),
        ("json", b'{"a": 1, "a": 2}', "the key `a` stands there twice"),
        ("json", b"[" * 100_000, "the body is not JSON: "),
        ("json", b"\xff", "the body is not JSON: "),
        ("toml", b"a = ", "the body is not TOML: "),
        ("toml", b"a = 1\na = 2", "the body is not TOML: "),
    ],
)
def test_a_body_that_cannot_be_understood_is_400(kind: str, body: bytes, error: str) -> None:
    with pytest.raises(RefusedError) as refused:
        tables(kind, body)
    assert refused.value.status == 400
    assert error in refused.value.error


def test_the_admin_port_is_stronger_than_all_others(tmp_path: Path) -> None:
    file = tmp_path / "tailrace.toml"
    file.write_text('[upstreams.orders]\ntimeout = "71ms"\nbulkhead = 7\n[limits]\nidle = "9s"\n')
    environ = {"TAILRACE_UPSTREAMS_ORDERS_TIMEOUT": "72ms", "TAILRACE_LIMITS_IDLE": "8s"}
    admin = {"upstreams": {"orders": {"timeout": "73ms"}}}
    resolved = resolve(shop.service, str(file), environ, {"limits.drain": "1s"}, admin=admin)
    orders = next(row for row in resolved.blueprint["upstreams"] if row["name"] == "orders")
    assert (orders["timeout_ms"], orders["bulkhead"]["limit"]) == (73, 7)
    assert resolved.origin("upstreams.orders.timeout_ms") == "admin POST /config"
    assert resolved.origin("upstreams.orders.bulkhead.limit") == f"{file}:3"
    assert resolved.origin("limits.idle_ms") == "env TAILRACE_LIMITS_IDLE"
    flags = {"limits.drain": "1s"}
    resolved = resolve(shop.service, str(file), {}, flags, admin={"limits": {"drain": "2s"}})
    assert resolved.blueprint["limits"]["drain_ms"] == 2_000
    assert resolved.origin("limits.drain_ms") == "admin POST /config"


@pytest.mark.parametrize(
    ("admin", "code", "words"),
    [
        ({"upstreams": {"order": {}}}, "TR205", "did you mean `orders`?"),
        ({"limits": {"idel": "5s"}}, "TR201", "did you mean `idle`?"),
        ({"limit": {"idle": "5s"}}, "TR201", "did you mean `limits`?"),
        ({"limits": 5}, "TR203", "`limits` is a table"),
        ({"limits": {"idle": 5}}, "TR001", "a number without a unit"),
    ],
)
def test_a_wrong_key_over_the_admin_port_is_named(admin: Any, code: str, words: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        resolve(shop.service, admin=admin)
    (problem,) = wrong.value.problems
    assert problem.code == code
    shown = problem.render()
    assert "--> admin POST /config\n" in shown
    assert words in shown or code == "TR001"


def looks(watch: FileWatch, count: int = 4) -> list[bool]:
    return [watch.changed() for _ in range(count)]


def test_a_change_counts_once_it_has_come_to_rest(tmp_path: Path) -> None:
    file = tmp_path / "tailrace.toml"
    file.write_text("one")
    watch = FileWatch(str(file))
    assert looks(watch) == [False] * 4
    file.write_text("longer")
    assert watch.changed() is False, "it may still be written"
    file.write_text("longer yet")
    assert looks(watch) == [False, True, False, False]


def test_a_file_that_is_replaced_by_its_like_has_changed(tmp_path: Path) -> None:
    file, other = tmp_path / "tailrace.toml", tmp_path / "new"
    file.write_text("same")
    watch = FileWatch(str(file))
    other.write_text("size")
    stamp = file.stat()
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other.rename(file)
    assert looks(watch) == [False, True, False, False]


def test_a_link_that_leads_elsewhere_has_changed(tmp_path: Path) -> None:
    """As Kubernetes does: `tailrace.toml -> ..data/tailrace.toml`, and `..data` is swapped."""
    for name, text in (("one", "1"), ("two", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tailrace.toml").write_text(text)
    data, file = tmp_path / "..data", tmp_path / "tailrace.toml"
    data.symlink_to("one")
    file.symlink_to("..data/tailrace.toml")
    watch = FileWatch(str(file))
    swap = tmp_path / "..data_tmp"
    swap.symlink_to("two")
    swap.rename(data)
    assert looks(watch) == [False, True, False, False]


def test_a_file_that_goes_has_changed_and_one_that_was_taken_has_not(tmp_path: Path) -> None:
    file = tmp_path / "tailrace.toml"
    file.write_text("one")
    watch = FileWatch(str(file))
    file.unlink()
    assert looks(watch) == [False, True, False, False]
    file.write_text("two!")
    watch.take()
    assert looks(watch) == [False] * 4
