"""Every code the plane answers with stands in its catalogue, and every port in the page."""

from __future__ import annotations

import re
from pathlib import Path

from tailrace._openapi import PORT
from tailrace._runtime import problems

CRATES = Path(__file__).parents[2] / "crates"
SOURCES = CRATES / "tailrace-plane/src"


def test_no_code_is_given_that_the_catalogue_does_not_have() -> None:
    known = {code for _, code, _, _ in problems()}
    given = {}
    for file in SOURCES.rglob("*.rs"):
        if "test" in file.name:
            continue
        text = file.read_text().partition("#[cfg(test)]\nmod tests {")[0]
        pattern = r'\bcode: "(\w+)"|bad_request\("(\w+)"\)|read_more\([^;]*?"(\w+_timeout)"\)'
        for groups in re.findall(pattern, text):
            given[next(filter(None, groups))] = file.name
    assert {"no_route", "path_not_ascii", "head_timeout", "bad_parameter"} <= given.keys()
    assert given.keys() - known == set()


def test_the_default_port_is_the_same_on_both_sides() -> None:
    text = (CRATES / "tailrace-blueprint/src/limits.rs").read_text()
    assert f"port: {PORT}," in re.sub(r"(\d)_(\d)", r"\1\2", text)
