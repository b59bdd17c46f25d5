"""nginx in front of a plane: no request comes out of the pair that nginx did not read as one.

Prevents the classic: a proxy and a server behind it that cut one stream of bytes in two ways
(RELIABILITY S01). Every row of the corpus goes through an nginx in three usual configurations, with
one more request behind it. nginx logs what it forwarded; the plane's upstream records what reached
it. More of a kind there than in the log would be a smuggled request.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import proxy
import pytest
import rows
from live import VIEWS, Live, exchange
from rows import Row

NGINX: Final = proxy.installed()

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt install nginx)"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127.0.0.0/8, as Linux has it"),
]

APPENDED: Final = b"GET /appended HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
ALONE: Final = "alone"
# Rows the plane accepts and nginx does not forward, each with the reason.
METHOD: Final = "nginx wants methods of capitals, `_` and `-`; any token is one (RFC 9110 9.1)"
ASTERISK: Final = "nginx answers `OPTIONS *` itself, with 400"
DIFFERENT: Final = {
    "lowercase_method_is_another": METHOD,
    "odd_token_method": METHOD,
    "options_asterisk": ASTERISK,
    "cl_options_hides_canary": ASTERISK,
    "target_percent_fine": "nginx refuses `%00`; here a view's parameter refuses it",
    "cl_spaces_around": "nginx takes a tab for a part of the value; it is whitespace around it",
}


@dataclass
class Run:
    """What went in and came out, by flavour and row."""

    plane: Live
    # Client address -> (flavour or `ALONE`, row): loopback has an address for every row, so that
    # the log tells rows apart; ports are used again too soon.
    sent: dict[str, tuple[str, Row]] = field(default_factory=dict)
    # (flavour, row) -> how often each path reached the upstream, and was forwarded by nginx.
    reached: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    forwarded: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def play(self, flavour: str, port: int, row: Row, data: bytes) -> None:
        number = len(self.sent)
        client = f"127.1.{number // 250}.{number % 250 + 1}"
        self.sent[client] = (flavour, row)
        exchange(port, data, client)
        targets = self.plane.upstream.taken()
        self.reached[flavour, row.name] = Counter(target.partition("?")[0] for target in targets)

    def read(self, log: list[proxy.Logged]) -> None:
        """Sorts nginx's log by row; what asked whether nginx is ready belongs to none."""
        self.forwarded = {key: Counter() for key in self.reached}
        for line in log:
            if line.forwarded and line.client in self.sent:
                flavour, row = self.sent[line.client]
                self.forwarded[flavour, row.name][line.path] += 1

    def total(self, counts: dict[tuple[str, str], Counter[str]], flavour: str) -> Counter[str]:
        return sum((found for key, found in counts.items() if key[0] == flavour), Counter())


@pytest.fixture(scope="module")
def run(plane: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    assert NGINX is not None
    with proxy.running(NGINX, tmp_path_factory.mktemp("nginx"), plane.port) as nginx:
        plane.upstream.taken()
        found = Run(plane)
        for flavour, port in nginx.ports.items():
            for row in rows.requests():
                found.play(flavour, port, row, row.data + APPENDED)
        for row in rows.requests():
            found.play(ALONE, nginx.ports["default"], row, row.data)
        found.read(nginx.log())
    print(proxy.version(NGINX))
    yield found


@pytest.mark.parametrize("flavour", [*proxy.FLAVOURS, ALONE])
def test_nothing_reaches_the_upstream_that_nginx_did_not_forward(flavour: str, run: Run) -> None:
    for row in rows.requests():
        reached, forwarded = run.reached[flavour, row.name], run.forwarded[flavour, row.name]
        # For Counters: no path more often.
        assert reached <= forwarded, f"{row.name}: {reached} reached, {forwarded} forwarded"
    reached, forwarded = run.total(run.reached, flavour), run.total(run.forwarded, flavour)
    counts = {path: (reached[path], forwarded[path]) for path in VIEWS}
    print(f"{flavour}: {len(rows.requests())} rows; path: (reached, forwarded) {counts}")
    # That nothing gets through proves nothing when nothing is sent.
    assert counts["/"][0] >= 30
    assert flavour == ALONE or counts["/appended"][0] >= 30


def test_what_the_plane_accepts_nginx_forwards(run: Run) -> None:
    missing = {
        row.name: row.expected
        for row in rows.requests()
        if row.expected.startswith("ok ") and not run.forwarded[ALONE, row.name]
    }
    assert missing.keys() == DIFFERENT.keys(), missing


def test_what_only_ours_refuses_is_published(run: Run) -> None:
    """Counted on nginx as installed; a release of nginx may change it, so it is not compared."""
    alone = Counter(
        row.refusal for row in rows.requests() if row.refusal and run.forwarded[ALONE, row.name]
    )
    print(f"nginx forwards {alone.total()} rows that ours refuses: {dict(alone)}")
    assert alone.keys() <= rows.published()["nginx"].keys()
