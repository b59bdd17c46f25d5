"""Licence expressions are read as SPDX means them, and both lists are one."""

import tomllib

import licences
import pytest
from sandbox import ROOT


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT/Apache-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("(MIT OR Apache-2.0) AND GPL-2.0-only", False),
        ("GPL-2.0-only AND MIT OR MIT", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("MIT MIT", False),
        ("(MIT", True),
        ("", False),
    ],
)
def test_an_expression_is_allowed_when_the_list_can_meet_it(expression: str, good: bool) -> None:
    assert licences.allowed(expression) is good


def test_what_is_refused_is_named() -> None:
    packages = [
        {"name": "fine", "version": "1.0.0", "license": "MIT"},
        {"name": "strict", "version": "2.0.0", "license": "AGPL-3.0-only"},
        {"name": "silent", "version": "3.0.0", "license": None},
    ]
    assert licences.refused({"packages": packages}) == [
        "silent 3.0.0: no licence",
        "strict 2.0.0: AGPL-3.0-only",
    ]


def test_cargo_deny_has_the_same_list() -> None:
    deny = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
    assert set(deny["licenses"]["allow"]) == licences.ALLOWED
