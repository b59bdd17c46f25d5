"""`openapi`: what it prints, writes and compares, and with which code it ends."""

from __future__ import annotations

import json
from pathlib import Path

from running import SERVICE, Run


def test_the_document_is_what_is_printed(run: Run) -> None:
    ended = run("openapi", "service.py")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert found["openapi"].startswith("3.1.")
    assert list(found["paths"]) == ["/api/orders/{order_id}"]
    assert "servers" not in found
    assert run("openapi").out == ended.out


def test_json_wraps_the_document(run: Run) -> None:
    found = json.loads(run("openapi", "service.py", "--json").out)
    assert found["format_version"] == 1
    assert found["document"] == json.loads(run("openapi", "service.py").out)
    assert (found["service"], found["paths"]) == ("shop", 1)


def test_a_server_comes_from_option_or_variable(run: Run) -> None:
    url = "https://api.example.com"
    named = run("openapi", "service.py", "--server", url).out
    assert json.loads(named)["servers"] == [{"url": url}]
    assert run("openapi", "service.py", env={"TAILRACE_OPENAPI_SERVER": url}).out == named


def test_a_name_in_html_gets_the_page(run: Run, folder: Path) -> None:
    ended = run("openapi", "service.py", "--out", "docs.html")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("docs.html: shop, version ")
    assert (folder / "docs.html").read_text().startswith("<!doctype html>")
    data = json.loads(run("openapi", "service.py", "--out", "openapi.json", "--json").out)
    assert data["bytes"] == (folder / "openapi.json").stat().st_size


def test_a_kept_file_is_compared_with_what_is_served(run: Run, folder: Path) -> None:
    assert run("openapi", "service.py", "--out", "kept.json").code == 0
    same = run("openapi", "service.py", "--check", "kept.json", "--json")
    assert (same.code, json.loads(same.out)["same"]) == (0, True)
    changed = SERVICE.replace("user: User | None = weak", "user: User = strong")
    (folder / "service.py").write_text(changed)
    ended = run("openapi", "service.py", "--check", "kept.json", "--json")
    assert (ended.code, json.loads(ended.out)["same"]) == (1, False)
    assert "help: when the change is meant" in ended.err
    assert run("openapi", "service.py", "--out", "kept.json").code == 0
    assert run("openapi", "service.py", "--check", "kept.json").code == 0


def test_an_override_that_callers_see_changes_the_document(run: Run) -> None:
    env = {"TAILRACE_ENVELOPE_DEGRADED": "_missing"}
    found = json.loads(run("openapi", "service.py", env=env).out)
    assert "_missing" in found["components"]["schemas"]["OrderReply"]["properties"]
