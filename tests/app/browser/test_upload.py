"""Uploading a film through the real page: what is found is told, and a job is queued when somebody wants it."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import Browser, Page, Route, expect

from app.store.audit_log import AuditLog
from app.store.queue import Queue
from app.store.records import NewJob
from datasets.phantoms import film_phantom
from tests.app.browser.installation import Installation, started

pytestmark = pytest.mark.needs("chromium")


def film() -> bytes:
    pixels = film_phantom(3).image(256).array[0, :, :, 0].T
    into = io.BytesIO()
    Picture.fromarray(np.ascontiguousarray(pixels)).save(into, "PNG")
    return into.getvalue()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    root: Path = tmp_path_factory.mktemp("upload")
    running = started(root, DENSELENS_MOST_UPLOAD_MB="2")
    yield running
    running.stop()


@pytest.fixture
def page(browser: Browser, house: Installation) -> Iterator[Page]:
    page, wrong, foreign = browser.new_page(viewport={"width": 1440, "height": 900}), [], []
    own = (house.url, house.url.replace("http", "ws"), "blob:", "data:")
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    page.goto(f"{house.url}/upload")
    expect(page.get_by_role("button", name="Choose files")).to_be_visible(timeout=30_000)
    yield page
    assert (wrong, foreign) == ([], [])
    page.close()


def choose(page: Page, name: str, content: bytes) -> None:
    page.get_by_label("Choose files").and_(page.locator("input")).set_input_files(
        [{"name": name, "mimeType": "application/octet-stream", "buffer": content}]
    )


def arriving(house: Installation) -> list[Path]:
    return [path for path in (house.root / "own" / "arriving").rglob("*") if path.is_file()]


def test_a_film_from_the_disk_to_the_queue(page: Page, house: Installation) -> None:
    name = "<b>film<b>.png"
    choose(page, name, film())
    expect(page.get_by_text("1 file came")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("_b_film_b_", exact=True)).to_be_visible()
    # A format that tells no modality: every task that takes films or volumes may be asked.
    page.get_by_role("combobox", name="What is to be looked for").click()
    page.get_by_role("option", name="Chest X-ray", exact=True).click()
    expect(page.get_by_text("Chest X-ray would score 1 study of it.")).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="Score").click()
    expect(page.get_by_text("Nothing was uploaded yet.")).not_to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name="Choose files")).to_be_visible(timeout=20_000)
    database = house.database()
    (job,) = Queue(database).find()
    last = AuditLog(database).entries()[-1]
    database.close()
    assert (job.status, job.payload["task"]) == ("queued", "chest_xray")
    folder = Path(job.payload["input"])
    assert folder.parent == (house.root / "own" / "uploads").resolve()
    (kept,) = [path for path in folder.rglob("*") if path.is_file()]
    assert kept.read_bytes() == film()
    assert (last.who, last.action) == ("anna", "upload")
    assert "film" not in str(last.detail)
    assert arriving(house) == []


def test_what_cannot_be_used_is_told_in_words(page: Page, house: Installation) -> None:
    choose(page, "film.png", b"this is no film")
    expect(page.get_by_text("No task can use what came. It was deleted.")).to_be_visible(timeout=30_000)
    expect(page.get_by_text(re.compile("Cannot be used: .*What to do: "))).to_be_visible()
    assert [path.name for path in arriving(house)] == [".inspection.json"]
    page.get_by_role("button", name="Another upload").click()
    expect(page.get_by_role("button", name="Choose files")).to_be_visible(timeout=20_000)
    assert arriving(house) == []


def test_more_than_there_may_be_is_not_even_sent(page: Page, house: Installation) -> None:
    choose(page, "scan.dcm", bytes(2_100_000))
    expect(page.get_by_text("one upload holds at most 2.0 MB")).to_be_visible(timeout=20_000)
    assert arriving(house) == []


def test_a_connection_that_is_lost_is_told(page: Page, house: Installation) -> None:
    page.route("**/api/uploads/*/scan.dcm", lambda route: route.abort())
    choose(page, "scan.dcm", bytes(1_000))
    expect(page.get_by_text("The upload failed: the connection was lost")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    assert arriving(house) == []


def test_news_do_not_disturb_what_is_being_sent(page: Page, house: Installation) -> None:
    held: list[Route] = []
    page.route("**/api/uploads/*/film.png", lambda route: held.append(route))
    choose(page, "film.png", film())
    expect(page.get_by_role("button", name="Cancel")).to_be_visible(timeout=20_000)
    database = house.database()
    Queue(database).add(NewJob(kind="another", key="news"))
    database.close()
    # The page is drawn again, with another token.
    page.wait_for_timeout(6_000)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    (one,) = held
    one.continue_()
    expect(page.get_by_text("1 file came")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("button", name="Choose files")).to_be_visible(timeout=20_000)


def test_cancelling_keeps_nothing(page: Page, house: Installation) -> None:
    page.route("**/api/uploads/*/second.png", lambda route: None)
    page.get_by_label("Choose files").and_(page.locator("input")).set_input_files(
        [{"name": name, "mimeType": "image/png", "buffer": film()} for name in ("first.png", "second.png")]
    )
    expect(page.get_by_text("file 2 of 2")).to_be_visible(timeout=20_000)
    assert [path.name for path in arriving(house)] == ["first.png"]
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Nothing of it was kept.")).to_be_visible(timeout=20_000)
    assert arriving(house) == []
