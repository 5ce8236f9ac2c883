"""A browser, a server and a page for the viewer's tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, sync_playwright

from tests.app.components.viewer_page import ViewerPage
from tests.app.components.viewer_server import Server

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
# WebGL drivers tell how fast they are, and canvases that tests read them; refused requests are what some tests ask for.
HARMLESS = ("GL Driver Message", "Canvas2D", "Failed to load resource")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture()
def shown(browser: Browser, server: Server) -> Iterator[ViewerPage]:
    """A page; it must not ask any other host for anything, and no script may fail in it."""
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    foreign: list[str] = []
    wrong: list[str] = []

    def elsewhere(route: Route) -> None:
        foreign.append(route.request.url)
        route.abort()

    page.route(lambda url: not url.startswith((server.url, "blob:", "data:")), elsewhere)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda told: _note(told.type, told.text, wrong))
    page.goto(server.url)
    yield ViewerPage(page, server)
    page.close()
    assert foreign == []
    assert wrong == []


def _note(kind: str, text: str, wrong: list[str]) -> None:
    if kind in {"error", "warning"} and not any(part in text for part in HARMLESS):
        wrong.append(text)
