"""The Chromium of this machine, driven by Playwright, and what is counted of every page it opens.

Prevents a browser test that says nothing about what the page asked for: requests to other places,
errors of the page and script that a name smuggled in are counted on every page, whatever the test
is about. Playwright's own browsers are not used, for they are downloads.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

# Nothing of the browser's own asks the network.
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS: Final = 40_000


def installed() -> str | None:
    """Where Chromium is, if it is installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


@dataclass
class Seen:
    """A page and what happened in it."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    bytes: dict[str, int] = field(default_factory=dict)

    def elsewhere(self) -> list[str]:
        """Requests to other places than where the page is from."""
        own = urlsplit(self.page.url).netloc
        return [url for url in self.requests if urlsplit(url).netloc != own]

    def hits(self) -> int:
        """How often script ran that a name brought."""
        return int(self.page.evaluate("() => window.hits"))

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def _note(self, response: Any) -> None:
        path = urlsplit(response.url).path
        if path == "/" or path.startswith("/console/"):
            self.bytes[path] = int(response.headers["content-length"])


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; ends with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=installed(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, url: str, **options: Any) -> Iterator[Seen]:
    """A page of its own, loaded."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script("window.hits = 0; window.hit = () => { window.hits += 1; };")
    seen = Seen(context.new_page())
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.errors.append(dialog.message))
    seen.page.on("response", seen._note)
    try:
        seen.page.goto(url)
        yield seen
    finally:
        context.close()
