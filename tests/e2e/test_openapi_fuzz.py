"""RELIABILITY S31: the order service, fuzzed by its own contract.

A few hundred cases in `make test`; `make test-real` sets FUZZ_EXAMPLES for
thousands (not TAILRACE_*: a service refuses such variables that it does not know).
Limits are relaxed by the fixture, so no reply may be a 5xx: nothing is injected.
"""

import http.client
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tailrace._lower import build
from tailrace._openapi import document
from tailrace.testing import TestPlane

from examples.orders.processes import Service
from examples.orders.truth import Truth
from tests.openapi import typed_service
from tests.openapi.fuzzing import fuzz, known_values

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_200)]

CASES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
# Measured: for two operations with one parameter, three phases make some 8 cases per example.
CASES_PER_EXAMPLE = 7


def fetched(url: str) -> bytes:
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)) as connection:
        connection.request("GET", urlsplit(url).path)
        response = connection.getresponse()
        assert response.status == 200
        return response.read()


def test_no_case_of_the_contract_breaks_it(healthy: Service, truth: Truth, tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads(fetched(f"{healthy.admin}/openapi.json"))
    # Served on port 0: which port that became is known only after the document.
    assert "servers" not in document
    document = known_values(document, "order_id", truth.order_ids(40))
    examples = max(20, -(-CASES // CASES_PER_EXAMPLE))
    fuzzed = fuzz(document, healthy.url, examples, tmp_path)
    assert fuzzed.code == 0, fuzzed.out
    assert fuzzed.cases >= CASES, fuzzed.statuses
    assert not [status for status in fuzzed.statuses if status >= 500], fuzzed.statuses
    # The run saw replies, refusals and missing orders, not one of them alone.
    assert min(fuzzed.statuses[one] for one in (200, 400, 404)) > 0, fuzzed.statuses
    print(f"S31: {fuzzed.cases} cases, {dict(sorted(fuzzed.statuses.items()))}")


def test_no_parameter_of_any_type_breaks_the_contract(tmp_path: Path) -> None:
    found = document(typed_service.service, build(typed_service.service))
    with TestPlane(typed_service.service, echo=typed_service.ROUTES, time_scale=10) as plane:
        # Nothing here has a state that calls could lead to.
        words = ("--phases", "examples,coverage,fuzzing")
        fuzzed = fuzz(found, plane.url, CASES // 3, tmp_path, *words)
        unmatched = plane.upstreams["echo"].unmatched
    assert fuzzed.code == 0, fuzzed.out
    assert not [status for status in fuzzed.statuses if status >= 500], fuzzed.statuses
    assert min(fuzzed.statuses[one] for one in (200, 400)) > 0, fuzzed.statuses
    assert fuzzed.cases >= CASES, fuzzed.statuses
    assert unmatched == []
    print(f"S31, typed: {fuzzed.cases} cases, {dict(sorted(fuzzed.statuses.items()))}")


def test_the_admin_port_shows_the_contract_and_the_service_port_does_not(healthy: Service) -> None:
    page = fetched(f"{healthy.admin}/docs").decode()
    assert page.startswith("<!doctype html>")
    assert "/api/orders/{order_id}" in page
    with closing(healthy.connect()) as connection:
        for path in ("/docs", "/openapi.json"):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            assert response.status == 404
