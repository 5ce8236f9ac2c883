"""Two readers on one case, a page that is killed while it saves, and a slide, in the real browser."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.store.audit_log import AuditLog
from app.store.cases import Cases, Wanted
from app.store.records import Case, Review
from app.store.reviews import Reviews
from tests.app.browser.installation import Installation, started
from tests.app.browser.window import Window
from tests.app.planted import plant_film
from tests.app.planted_slide import plant_slide

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant_film(tmp_path)
    return tmp_path


@pytest.fixture
def anna(root: Path) -> Iterator[Installation]:
    running = started(root, [root / "results"])
    yield running
    running.stop()


@pytest.fixture
def bela(root: Path, anna: Installation) -> Iterator[Installation]:
    # Another process on the same store, as where the house runs several.
    assert anna.root == root
    running = started(root, DENSELENS_READER="bela")
    yield running
    running.stop()


def stands(installation: Installation) -> tuple[Case, list[Review]]:
    database = installation.database()
    try:
        (case,) = Cases(database).find(Wanted())
        assert AuditLog(database).faults() == []
        return case, Reviews(database).of(case.id)
    finally:
        database.close()


def opened(browser: Browser, installation: Installation, case: Case) -> Window:
    window = Window(browser, installation)
    window.page.goto(f"{installation.url}/case?id={case.id}")
    expect(window.page.get_by_role("button", name=re.compile("^Accept"))).to_be_visible(timeout=30_000)
    return window


def test_two_readers_are_told_of_each_other_and_both_are_kept(
    browser: Browser, anna: Installation, bela: Installation
) -> None:
    case, _ = stands(anna)
    first, second = opened(browser, anna, case), opened(browser, bela, case)
    expect(second.page.get_by_text("anna has this case")).to_be_visible(timeout=10_000)
    first.page.get_by_role("button", name=re.compile("^Accept")).click()
    expect(first.page.get_by_text("accepted", exact=True)).to_be_visible(timeout=20_000)
    second.page.get_by_role("button", name=re.compile("^Reject")).click()
    second.page.get_by_role("button", name=re.compile("^false positive")).click()
    expect(second.page.get_by_text("Two readers, one case")).to_be_visible(timeout=20_000)
    case, reviews = stands(anna)
    assert case.in_conflict
    assert [(one.reader, one.decisions[0].verdict, one.conflicts_with) for one in reviews] == [
        ("anna", "accepted", 0),
        ("bela", "rejected", 1),
    ]
    second.page.get_by_role("button", name="I have seen it, keep mine").click()
    expect(second.page.get_by_text("Two readers, one case")).to_have_count(0, timeout=20_000)
    case, reviews = stands(anna)
    assert not case.in_conflict
    assert [one.decisions[0].verdict for one in reviews] == ["accepted", "rejected", "rejected"]
    first.page.close()
    second.page.close()


@pytest.mark.parametrize(
    "after_ms", [0, 40, *(pytest.param(ms, marks=pytest.mark.slow) for ms in (10, 20, 80, 120, 200))]
)
def test_a_page_killed_while_it_saves_leaves_a_whole_decision_or_none(
    browser: Browser, root: Path, after_ms: int
) -> None:
    running = started(root, [root / "results"])
    case, _ = stands(running)
    window = opened(browser, running, case)
    window.page.get_by_role("button", name=re.compile("^Accept")).click(no_wait_after=True)
    window.page.wait_for_timeout(after_ms)
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    window.page.close()
    again = started(root)
    try:
        _, reviews = stands(again)
        assert [one.decisions[0].verdict for one in reviews] in ([], ["accepted"])
        window = opened(browser, again, case)
        told = "accepted" if reviews else "open"
        expect(window.page.get_by_text(told, exact=True)).to_be_visible(timeout=20_000)
        window.page.close()
    finally:
        again.stop()


def test_a_slide_from_tiles_to_report(browser: Browser, tmp_path: Path) -> None:
    plant_slide(tmp_path)
    running = started(tmp_path, [tmp_path / "results"])
    try:
        case, _ = stands(running)
        window = opened(browser, running, case)
        tiles: list[int] = []
        window.page.on("response", lambda r: tiles.append(r.status) if "/tiles/" in r.url else None)
        window.page.reload()
        expect(window.page.get_by_role("button", name=re.compile("^Accept"))).to_be_visible(timeout=30_000)
        window.wait_for(lambda: len(tiles) > 0)
        assert set(tiles) <= {200, 304}
        window.page.get_by_role("button", name=re.compile("^Accept")).click()
        finish = window.page.get_by_role("button", name=re.compile("^Finish case"))
        while not finish.is_visible():
            window.page.wait_for_timeout(500)
            if (accept := window.page.get_by_role("button", name=re.compile("^Accept"))).count() == 1:
                accept.click()
        expect(finish).to_be_enabled(timeout=20_000)
        finish.click()
        expect(window.page.get_by_text("This case is decided.")).to_be_visible(timeout=20_000)
        window.page.get_by_role("tab", name="Report").click()
        assert window.download("PDF", tmp_path).read_bytes().startswith(b"%PDF-")
        assert stands(running)[0].status == "decided"
        assert window.wrong == []
        assert window.foreign == []
        window.page.close()
    finally:
        running.stop()
