"""The console in a real Chromium: what a person does with it, whoever names the services.

Prevents a page that only its author's eyes have tested: each flow goes through a running demo, each
page is judged by axe, and two hundred hostile names are shown by a real plane. Waits are for what
the page shows, never for time.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import browser as browsing
import pytest
from browser import Seen, chromium, opened
from tailrace._runtime import Plane
from tailrace.cli._figures import duration, figures, rate, share
from tailrace.cli._lab_admin import LabAdmin

from tests.hostile_text import NAMES

pytest.importorskip("playwright.sync_api", reason="make test-real installs Playwright")
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        browsing.installed() is None, reason="Chromium is not installed (apt install chromium)"
    ),
]

BYTES_MAX = 150 * 1024
TAIL = ("p50_ms", "p95_ms", "p99_ms")
PAGES = ("overview", "requests", "limits")
FREE = [
    word
    for name in ("port", "admin-port", "naive-port", "lab-port", "lab-admin-port")
    for word in (f"--{name}", "0")
]


@dataclass
class Demo:
    """A demo that goes on, and where it is."""

    console: str
    lab: LabAdmin

    def fault(self, name: str) -> Any:
        return next(row["fault"] for row in self.lab.state() if row["name"] == name)

    def until(self, name: str, fault: Any) -> None:
        """Waits until the lab has this fault."""
        end = time.monotonic() + browsing.PATIENCE_MS / 1000
        while self.fault(name) != fault:
            assert time.monotonic() < end, f"{name}: {self.fault(name)}"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        print(f"Chromium {running.version}")
        yield running


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A held demo whose measured run is over."""
    words = ["demo", "--hold", "--json", "--seconds", "3", "--rate", "30", *FREE]
    process = subprocess.Popen(
        [sys.executable, "-m", "tailrace.cli", *words],
        cwd=tmp_path_factory.mktemp("demo"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        first: dict[str, Any] = {}
        for line in process.stdout:
            told = json.loads(line)
            first = first or told
            if told["type"] == "summary":
                break
        yield Demo(first["console"], LabAdmin(first["lab_admin"]))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


@pytest.fixture
def page(browser: Any, demo: Demo) -> Iterator[Seen]:
    """The console with the token; whatever a test does, nothing else is asked and nothing fails."""
    for row in demo.lab.state():
        demo.lab.change(row["name"], {"fault": None})
    with opened(browser, demo.console, viewport={"width": 1440, "height": 900}) as seen:
        seen.page.locator("#views tbody tr").wait_for()
        yield seen
        assert (seen.errors, seen.elsewhere(), seen.hits()) == ([], [], 0)


def test_the_page_is_small_comes_from_one_place_and_shows_figures(page: Seen) -> None:
    page.page.locator("#views td", has_text="150 ms").first.wait_for()
    total = sum(page.bytes.values())
    print(f"console: {total} bytes in {len(page.bytes)} files")
    assert len(page.bytes) > 5
    assert total <= BYTES_MAX
    assert "#token" not in page.page.url, "the token does not stay in the address"
    shown = page.text("#topology")
    for name in ("order-query", "recommend", "inventory", "strong", "weak"):
        assert name in shown
    for word in ("Effective", "Attempts/s", "Actual", "Budget left", "Breaker", "Queued"):
        assert word in page.text("#upstreams thead")


def test_a_fault_from_the_page_is_in_the_lab_and_shows_where_it_hurts(
    page: Seen, demo: Demo
) -> None:
    row = page.page.get_by_role("group", name="recommend")
    row.get_by_text("hang", exact=True).click()
    page.page.locator("#degraded tbody tr", has_text="recommend").first.wait_for()
    assert demo.fault("recommend") == {"kind": "hang", "probability": 1.0}
    reasons = page.text("#degraded tbody")
    assert "timeout" in reasons or "breaker_open" in reasons
    page.page.locator("#topology .card.part[data-state=bad]", has_text="recommend").wait_for()

    row.get_by_text("errors", exact=True).click()
    slider = row.get_by_role("slider")
    slider.focus()
    for _ in range(5):
        page.page.keyboard.press("ArrowRight")
    row.get_by_text("55%").wait_for()
    demo.until("recommend", {"kind": "errors", "status": 500, "probability": 0.55})
    page.page.locator("fieldset[data-state=bad]", has_text="55%").wait_for()
    page.page.get_by_role("button", name="All well again").click()
    row.get_by_text("as simulated").wait_for()
    assert demo.fault("recommend") is None


def test_the_switch_takes_the_load_without_protections_away_and_back(page: Seen) -> None:
    switch = page.page.get_by_role("switch", name="Protections off")
    assert switch.get_attribute("aria-checked") == "true"
    for on, shown in (("false", "no load"), ("true", "P99 ")):
        switch.click()
        page.page.locator(f"[role=switch][aria-checked={on}]").wait_for()
        page.page.locator("li.naive .figures", has_text=shown).wait_for()


def test_everything_is_reached_by_keyboard(page: Seen) -> None:
    keyboard = page.page.keyboard
    keyboard.press("Tab")
    assert page.page.locator(":focus").inner_text() == "Skip to the figures"
    for key, name in (("3", "limits"), ("2", "requests"), ("1", "overview")):
        keyboard.press(key)
        page.page.locator(f"#{name}").wait_for()
        assert page.page.url.endswith(f"#/{name}")
        assert page.page.locator(f"nav a[data-page={name}]").get_attribute("aria-current") == "page"
    keyboard.press("t")
    assert page.page.locator("html").get_attribute("data-theme") == "dark"
    keyboard.press("t")
    assert page.page.locator("html").get_attribute("data-theme") == "light"
    keyboard.press("p")
    page.page.locator("#phase", has_text="paused").wait_for()
    keyboard.press("p")
    page.page.locator("#phase", has_text="running").wait_for()


def test_whoever_has_just_broken_something_goes_on_by_keyboard(page: Seen) -> None:
    row = page.page.get_by_role("group", name="users")
    row.get_by_text("slow", exact=True).click()
    for key, name in (("2", "requests"), ("1", "overview")):
        page.page.keyboard.press(key)
        page.page.locator(f"#{name}").wait_for()


def test_labels_of_a_waterfall_are_never_on_one_another(page: Seen) -> None:
    """On a telephone too, and when the reply comes just before its deadline."""
    page.page.set_viewport_size({"width": 420, "height": 900})
    row = page.page.get_by_role("group", name="orders")
    row.get_by_text("hang", exact=True).click()
    page.page.get_by_role("link", name="Requests").click()
    page.page.locator("#receipt-kind").select_option("failed")
    page.page.locator("#receipts tbody a").first.click()
    labels = page.page.locator("#waterfall .mark span")
    labels.first.wait_for()
    reply, deadline = (labels.nth(number).bounding_box() for number in (0, 1))
    assert deadline["y"] + deadline["height"] <= reply["y"]
    for box in (reply, deadline):
        assert box["x"] >= 0 and box["x"] + box["width"] <= 420
    width = page.page.evaluate("document.documentElement.scrollWidth")
    assert width == 420, "nothing but tables is wider than the page"


def test_limits_say_what_is_in_force_and_who_said_so(page: Seen) -> None:
    page.page.get_by_role("link", name="Limits").click()
    page.page.get_by_label("Filter").fill("orders.timeout_ms")
    row = page.page.locator("#limits-in-force tbody tr:visible")
    row.wait_for()
    assert "70" in row.inner_text()
    assert "demo/service.py:" in row.inner_text()


def test_a_request_is_a_waterfall_with_its_deadline(page: Seen) -> None:
    page.page.get_by_role("link", name="Requests").click()
    page.page.locator("#receipts tbody a").first.click()
    page.page.locator("#waterfall .mark.deadline", has_text="deadline 150 ms").wait_for()
    lanes = page.page.locator("#waterfall .lane")
    assert lanes.count() == 5
    named = [str(lane.get_attribute("aria-label")) for lane in lanes.all()]
    assert [one.split(":")[0] for one in named] == [
        *("order", "user", "inventory", "coupon", "recommend"),
    ]
    assert page.page.locator("#waterfall .bar.attempt").count() >= 3
    for dimension in ("CPU", "Memory", "Concurrency", "IO", "Tail"):
        assert dimension in page.text("#waterfall .bill")


def test_page_and_terminal_say_the_same(page: Seen) -> None:
    """`figures.js` and `_figures.py` are one computation in two languages."""
    samples = [page.page.evaluate("async () => (await fetch('/live')).json()") for _ in range(2)]
    while samples[1]["views"][0]["statuses"] == samples[0]["views"][0]["statuses"]:
        samples[1] = page.page.evaluate("async () => (await fetch('/live')).json()")
    before, now = samples
    in_python = [
        [rate(one["rate"]), share(one["success"]), *(duration(one[p]) for p in TAIL)]
        for one in figures(now, before)["views"]
    ]
    in_python += [
        [rate(one["rate"]), share(one["effective"]), *(duration(one[p]) for p in TAIL)]
        for one in figures(now, before)["upstreams"]
    ]
    in_page = page.page.evaluate(
        """async ([now, before]) => {
          const { figures, rate, share, duration } = await import("/console/figures.js");
          const found = figures(now, before);
          const row = (one, of) =>
            [rate(one.rate), share(of), ...[one.p50, one.p95, one.p99].map(duration)];
          return [
            ...found.views.map((one) => row(one, one.success)),
            ...found.upstreams.map((one) => row(one, one.effective)),
          ];
        }""",
        [now, before],
    )
    # Nothing at all is an en dash where there is room for one.
    assert [[cell.replace("\u2013", "-") for cell in row] for row in in_page] == in_python


def test_without_the_token_nothing_can_be_changed(browser: Any, demo: Demo) -> None:
    with opened(browser, demo.console.split("#")[0]) as seen:
        seen.page.get_by_role("alert").wait_for()
        assert "carries the token" in seen.page.get_by_role("alert").inner_text()
        assert seen.page.locator("#lab fieldset:not([disabled])").count() == 0
        assert seen.page.get_by_role("switch").is_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 420])
def test_axe_finds_nothing_serious(scheme: str, width: int, browser: Any, demo: Demo) -> None:
    from axe_playwright_python.sync_playwright import Axe

    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    # axe is put into the page, which the page's own policy does not allow.
    with opened(browser, demo.console, bypass_csp=True, **options) as seen:
        for name in PAGES:
            seen.page.goto(f"{demo.console.split('#')[0]}#/{name}")
            seen.page.locator(f"#{name} tbody tr").first.wait_for()
            found = Axe().run(seen.page).response["violations"]
            serious = [one for one in found if one["impact"] in ("serious", "critical")]
            told = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious]
            print(f"axe {name} {scheme} {width}: {len(serious)} serious of {len(found)}")
            assert not told


def test_a_service_that_ends_is_not_shown_as_if_it_ran(browser: Any) -> None:
    plane = Plane(json.dumps(hostile_blueprint(["calm"])).encode(), b"{}")
    try:
        with opened(browser, f"http://{plane.admin_address}/") as seen:
            seen.page.locator("#phase", has_text="running").wait_for()
            plane.end()
            seen.page.locator("#phase[data-state=bad]", has_text="no answer").wait_for()
    finally:
        plane.end()


def hostile_blueprint(names: list[str]) -> dict[str, Any]:
    """A view, a part and an upstream of each name; nobody listens there."""
    part = {"strength": "weak", "method": "GET", "shape": 0, "path": [{"text": "/"}]}
    return {
        "format_version": 1,
        "service": names[0],
        "listen": {"port": 0, "admin_port": 0, "workers": 1},
        "access_log": {"format": "off"},
        "limits": {},
        "upstreams": [
            {
                "name": name,
                "addresses": ["http://127.0.0.1:9"],
                "timeout_ms": 100.0,
                "bulkhead": {"limit": 8},
            }
            for name in names
        ],
        "shapes": [{"kind": "optional", "inner": 1}, {"kind": "any"}, {"kind": "string"}],
        "views": [
            {
                "name": name,
                "method": "GET",
                "path": f"/{number}/{{id}}",
                "deadline_ms": 500.0,
                "fanout": 1,
                "parameters": [{"name": "id", "in": "path", "shape": 2, "required": True}],
                "parts": [{"name": name, "upstream": name, **part}],
            }
            for number, name in enumerate(names)
        ],
    }


def request(plane: Plane, number: int) -> None:
    """A request whose path, id and header value are hostile as far as HTTP lets them be."""
    host, _, port = plane.address.rpartition(":")
    harmless = "".join(one for one in NAMES[number] if " " <= one <= "~")
    path = f"/{number}/" + "".join(f"%{byte:02x}" for byte in NAMES[number].encode())
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {harmless}\r\nX-It: {harmless}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(f"{head}Connection: close\r\n\r\n".encode())
        while client.recv(65_536):
            pass


# RELIABILITY S30: names, origins, paths, ids and header values that are script stay text.
def test_two_hundred_hostile_names_stay_names(browser: Any, tmp_path: Path) -> None:
    blueprint = hostile_blueprint(list(NAMES))
    origins = {f"views.{name}.deadline_ms": f"code {name}" for name in NAMES}
    plane = Plane(json.dumps(blueprint).encode(), json.dumps(origins).encode())
    try:
        for number in range(len(NAMES)):
            request(plane, number)
        with opened(browser, f"http://{plane.admin_address}/") as seen:
            seen.page.locator("#degraded tbody tr").first.wait_for()
            shown = 0
            for name in PAGES:
                seen.page.goto(f"http://{plane.admin_address}/#/{name}")
                seen.page.locator(f"#{name} tbody tr").first.wait_for()
                shown += judge(seen)
            for index in (1, 100, 200):
                seen.page.goto(f"http://{plane.admin_address}/#/overview")
                seen.page.get_by_label("View").first.select_option(index=index - 1)
                shown += judge(seen)
            assert (seen.errors, seen.elsewhere(), seen.hits()) == ([], [], 0)
    finally:
        plane.end()
    print(f"S30: {len(NAMES)} hostile names, {shown} times shown, 0 scripts run, 0 requests left")
    assert shown >= 3 * len(NAMES)


BAD_MARKUP = "main :is(script, iframe, object, embed, link, base, style, form, template, video)"


def judge(seen: Seen) -> int:
    """Nothing but text came of the names; how often one is to be seen."""
    assert seen.page.locator(BAD_MARKUP).count() == 0
    assert seen.page.locator("main img, main [href^=javascript], main [onload]").count() == 0
    text = seen.page.evaluate("() => document.body.textContent")
    odd = sorted({one for one in text if not one.isprintable() and one != "\n"})
    assert not odd, f"{odd} reached the page"
    return seen.page.locator("bdi", has_text=re.compile("hit|evil")).count()
