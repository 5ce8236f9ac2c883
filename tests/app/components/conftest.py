"""A browser, a server and a page for the viewer's tests."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

from tests.app.components.viewer_page import ViewerPage
from tests.app.components.viewer_server import Server

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
# WebGL drivers tell how fast they are, canvases that tests read them, OpenSeadragon which tiles it needs no longer; and
# refused requests are what some tests ask for.
HARMLESS = ("GL Driver Message", "Canvas2D", "Failed to load resource", "Ignoring tile")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.shutdown()
    running.server_close()


@dataclass
class Watched:
    """A page, what it asked other hosts for, and what failed in it."""

    page: Page
    foreign: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def elsewhere(self, route: Route) -> None:
        self.foreign.append(route.request.url)
        route.abort()

    def told(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(part in message.text for part in HARMLESS):
            self.wrong.append(message.text)


@pytest.fixture(scope="module")
def watched(browser: Browser, server: Server) -> Watched:
    """A page that stays open: the viewer's scripts are loaded once."""
    found = Watched(browser.new_page(viewport={"width": 1200, "height": 800}))
    found.page.route(lambda url: not url.startswith((server.url, "blob:", "data:")), found.elsewhere)
    found.page.on("pageerror", lambda error: found.wrong.append(str(error)))
    found.page.on("console", found.told)
    found.page.goto(server.url)
    return found


@pytest.fixture
def shown(watched: Watched, server: Server) -> Iterator[ViewerPage]:
    """A new viewer; it must not ask any other host for anything, and no script of it may fail."""
    watched.page.mouse.move(0, 0)
    watched.page.evaluate("fresh()")
    watched.foreign.clear()
    watched.wrong.clear()
    yield ViewerPage(watched.page, server)
    watched.page.evaluate("unmount?.()")
    assert watched.foreign == []
    assert watched.wrong == []
