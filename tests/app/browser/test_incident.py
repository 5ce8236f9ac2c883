"""A bug in a page costs the page, and tells a number that the log has and nothing else of it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.store.cases import Cases, Wanted
from tests.app.browser.installation import started
from tests.app.browser.window import Window
from tests.app.planted import plant_film

pytestmark = pytest.mark.needs("chromium")


def test_a_bug_is_told_by_its_number(browser: Browser, tmp_path: Path) -> None:
    folder = plant_film(tmp_path)
    running = started(tmp_path, [tmp_path / "results"])
    try:
        database = running.database()
        (case,) = Cases(database).find(Wanted())
        database.close()
        window = Window(browser, running)
        # Nothing that can happen, and so nothing that is answered: the film's folder of views is a file.
        (tmp_path / "own" / "views").write_text("Mustermann")
        window.page.goto(f"{running.url}/case?id={case.id}")
        told = window.page.get_by_text(re.compile("under incident [0-9a-f]{8}"))
        expect(told).to_be_visible(timeout=30_000)
        incident = re.findall("[0-9a-f]{8}", told.inner_text())[-1]
        assert incident in (tmp_path / "log.txt").read_text()
        assert window.page.get_by_text("Traceback").count() == 0
        window.page.close()
    finally:
        running.stop()
    assert folder.is_dir()
