"""A browser window on the review app, as a reader uses it."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect

from tests.app.browser.installation import Installation


class Window:
    """A browser window on the app, which must ask nobody else for anything."""

    def __init__(self, browser: Browser, installation: Installation, width: int = 1440, height: int = 900) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
        self.foreign: list[str] = []
        self.wrong: list[str] = []
        own = (installation.url, installation.url.replace("http", "ws"), "blob:", "data:")
        self.page.on("request", lambda r: self.foreign.append(r.url) if not r.url.startswith(own) else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(installation.url)
        expect(self.page.get_by_text("could not be scored").first).to_be_visible(timeout=60_000)

    def state(self) -> dict[str, Any]:
        told: dict[str, Any] = self.page.locator(".denselens-viewer").evaluate("e => e.denselens.state()")
        return told

    def slice_of(self, plane: str) -> int:
        return int(self.state()["planes"][plane]["slice"])

    def wait_until_shown(self) -> None:
        self.page.locator(".denselens-viewer canvas.marks").first.wait_for(timeout=30_000)
        for _ in range(150):
            found = self.page.locator(".denselens-viewer").evaluate("e => e.denselens && e.denselens.ready")
            if found:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError("the viewer never was ready")

    def open(self, study: str) -> None:
        self.page.get_by_role("textbox", name="Search").fill(study)
        self.page.get_by_role("textbox", name="Search").press("Enter")
        self.page.wait_for_timeout(700)
        self.page.get_by_role("button", name=re.compile("Open most urgent")).click()
        expect(self.page.get_by_role("tab", name="Findings")).to_be_visible(timeout=30_000)

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.page.wait_for_timeout(600)

    def press_until(self, key: str, shown: Locator) -> None:
        """A key that leads to another page: pressed while the page before is drawn anew, it may be lost."""
        for _ in range(5):
            self.page.keyboard.press(key)
            try:
                expect(shown).to_be_visible(timeout=8_000)
                return
            except AssertionError:
                continue
        raise AssertionError(f"{key} led nowhere")

    def wait_for(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not come to hold"
            self.page.wait_for_timeout(100)

    def download(self, title: str, folder: Path) -> Path:
        with self.page.expect_download(timeout=60_000) as waiting:
            self.page.get_by_role("button", name=title, exact=True).click()
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path
