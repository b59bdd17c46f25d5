"""The signatures in reference/python.md are those of the code, argument by argument.

The failure prevented: an argument that was added later and that nobody finds, although its word
stands somewhere else on the page.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import tailrace
from tailrace import asgi, policies

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/python.md").read_text("utf-8")
SIGNATURE = re.compile(r"`([\w.]+)\(((?:[^()`]|\([^()`]*\))*)\)`")
# Between a call and who makes it; nobody writes these.
INNER = {"ask", "finder", "missing", "one", "pump", "stood_in", "within"}


def shown(name: str) -> list[str]:
    """The arguments of the page's first `name(...)`."""
    arguments = next(one for known, one in SIGNATURE.findall(PAGE) if known == name)
    # What a default holds is no argument.
    bare = re.sub(r"\([^()]*\)|\"[^\"]*\"", "", arguments)
    names = [re.sub(r"\W", "", one.partition("=")[0]) for one in bare.split(",")]
    return [one for one in names if one]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Service", tailrace.Service),
        ("service.view", tailrace.Service.view),
        ("service.get", tailrace.Service.get),
        ("Upstream", tailrace.Upstream),
        ("strong", tailrace.strong),
        ("Bulkhead", tailrace.Bulkhead),
        ("Retry", tailrace.Retry),
        ("Hedge", tailrace.Hedge),
        ("Breaker", tailrace.Breaker),
        ("Throttle", tailrace.Throttle),
        ("AdaptiveLimit", tailrace.AdaptiveLimit),
        ("Rate", policies.Rate),
        ("Admission", policies.Admission),
        ("Cache", tailrace.Cache),
        ("Computed", policies.Computed),
        ("Client", tailrace.Client),
        ("Middleware", asgi.Middleware),
    ],
)
def test_a_signature_has_every_argument(name: str, made: Any) -> None:
    declared = [one for one in inspect.signature(made).parameters if one != "self"]
    assert shown(name) == declared


def test_weak_has_what_strong_has_and_two_more() -> None:
    more = set(inspect.signature(tailrace.weak).parameters)
    assert more - set(inspect.signature(tailrace.strong).parameters) == {"otherwise", "drop"}


@pytest.mark.parametrize("made", [tailrace.Scope, tailrace.Client])
def test_what_it_can_do_is_there(made: type) -> None:
    section = PAGE.partition(f"## {made.__name__}\n")[2].partition("\n## ")[0]
    own = {name for name in dir(made) if name[0] != "_"} - INNER
    assert len(own) >= 5
    assert [name for name in sorted(own) if not re.search(rf"\b{name}\b", section)] == []
