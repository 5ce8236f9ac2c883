"""The real page in a real browser: a CT from the worklist to its exports, and by keys alone."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from app.store.cases import Cases, Wanted
from app.store.records import Case, Review
from app.store.reviews import Reviews
from datasets.image import Intensity
from datasets.io.nifti import read_nifti
from tests.app.browser.conftest import HOSTILE
from tests.app.browser.installation import Installation
from tests.app.browser.window import Window

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def window(browser: Browser, installation: Installation) -> Iterator[Window]:
    opened = Window(browser, installation)
    yield opened
    assert opened.foreign == []
    assert opened.wrong == []
    opened.page.close()


def case_of(installation: Installation, task: str) -> Case:
    database = installation.database()
    (case,) = [one for one in Cases(database).find(Wanted(tasks=[task])) if not one.error]
    database.close()
    return case


def reviews_of(installation: Installation, case: Case) -> list[Review]:
    database = installation.database()
    found = Reviews(database).of(case.id)
    database.close()
    return found


def test_a_ct_from_the_worklist_to_its_exports(window: Window, installation: Installation, tmp_path: Path) -> None:
    case = case_of(installation, "liver_ct")
    window.open(case.study_uid[-12:])
    window.wait_until_shown()
    # What files say is text, and what they say of a patient is not shown at all.
    expect(window.page.get_by_text("planted <b>by a test</b>")).to_be_visible()
    assert HOSTILE not in window.page.locator("body").inner_text()
    assert window.page.title() == "DenseLens"
    scroll(window, installation)
    show_otherwise(window)
    edit(window, installation, case)
    decide(window, installation)
    check_exports(window, tmp_path)
    # A network belongs to workers: a GPU that the page's process touched would never be given back.
    assert "libtorch" not in Path(f"/proc/{installation.process.pid}/maps").read_text()


def scroll(window: Window, installation: Installation) -> None:
    """A hundred slices by the wheel, and the page's script does not run: it would claim the case anew each time."""
    before, page = case_of(installation, "liver_ct").changed_at, window.page
    page.locator(".denselens-viewer canvas.marks").first.hover(position={"x": 200, "y": 200})
    window.press("Home")
    seen = {window.slice_of("axial")}
    for _ in range(100):
        page.mouse.wheel(0, -100)
        page.wait_for_timeout(10)
        seen.add(window.slice_of("axial"))
    for _ in range(100):
        page.mouse.wheel(0, 100)
        page.wait_for_timeout(10)
        seen.add(window.slice_of("axial"))
    assert len(seen) > 80
    assert case_of(installation, "liver_ct").changed_at == before


def show_otherwise(window: Window) -> None:
    window.press("Shift+Digit2")
    first = window.state()["window"]
    window.press("Shift+Digit3")
    assert window.state()["window"] != first
    shown = window.page.get_by_role("checkbox", name=re.compile("^Show the segmentation"))
    shown.uncheck()
    shown.check()


def edit(window: Window, installation: Installation, case: Case) -> None:
    """One touch of the brush changes the voxels that the viewer tells, and nothing else of the file."""
    # Below the liver: there the brush draws what was not there.
    window.page.evaluate("document.activeElement.blur()")
    for key in ("Home", "e", "b", "Enter"):
        window.press(key)
    changed = window.state()["changedVoxels"]
    assert changed > 0
    window.page.get_by_role("button", name=re.compile("^Save the edited")).click()
    expect(window.page.get_by_text("Edited segmentation kept")).to_be_visible(timeout=20_000)
    (review,) = reviews_of(installation, case)
    edited = read_nifti(installation.viewing().masks / review.mask, Intensity.LABEL).image
    network = read_nifti(Path(case.folder) / "segmentation.nii.gz", Intensity.LABEL).image
    np.testing.assert_array_equal(edited.grid.affine, network.grid.affine)
    assert np.count_nonzero(edited.array != network.array) == changed


def decide(window: Window, installation: Installation) -> None:
    page, case = window.page, case_of(installation, "liver_ct")
    page.get_by_role("button", name=re.compile("^Accept")).click()
    expect(page.get_by_text("accepted", exact=True)).to_be_visible(timeout=20_000)
    reject = page.get_by_role("button", name=re.compile("^Reject"))
    # Until the page is drawn anew, the card before is still there.
    expect(reject).to_have_count(1, timeout=20_000)
    reject.click()
    page.get_by_label("In your words (optional)").fill("<script>alert(1)</script>")
    page.get_by_label("In your words (optional)").press("Enter")
    page.wait_for_timeout(500)
    page.get_by_role("button", name=re.compile("^artefact")).click()
    expect(page.get_by_text("rejected", exact=True)).to_be_visible(timeout=20_000)
    page.get_by_role("button", name=re.compile("^Finish case")).click()
    expect(page.get_by_text("This case is decided.")).to_be_visible(timeout=20_000)
    assert case_of(installation, "liver_ct").status == "decided"
    last = reviews_of(installation, case)[-1]
    assert [(one.label, one.verdict, one.reason) for one in last.decisions] == [
        ("liver_tumor", "accepted", ""),
        ("liver", "rejected", "artefact"),
    ]
    assert last.decisions[1].text == "<script>alert(1)</script>"
    assert last.complete
    assert last.mask


def check_exports(window: Window, folder: Path) -> None:
    window.page.get_by_role("tab", name="Report").click()
    pdf = window.download("PDF", folder)
    text = subprocess.run(["pdftotext", "-raw", pdf, "-"], capture_output=True, text=True, check=True).stdout
    assert "Research use only, not a medical device" in text
    assert "<script>alert(1)</script>" in "".join(text.split())
    for title in ("DICOM SR", "DICOM SEG or NIfTI"):
        path = window.download(title, folder)
        told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert "Error" not in told.stderr + told.stdout, told.stderr
    document = json.loads(window.download("JSON", folder).read_text())
    assert document["research_use_only"] is True


def test_a_film_by_keys_alone(window: Window, installation: Installation) -> None:
    case = case_of(installation, "chest_xray")
    page = window.page
    page.get_by_role("textbox", name="Search").fill("film")
    page.get_by_role("textbox", name="Search").press("Enter")
    expect(page.get_by_text(re.compile("^1 new · 0 in review"))).to_be_visible(timeout=20_000)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(1000)
    window.press_until("o", page.get_by_role("tab", name="Findings"))
    window.wait_until_shown()
    window.press("?")
    expect(page.get_by_role("dialog").get_by_text("Accept the finding")).to_be_visible(timeout=10_000)
    window.press("Escape")
    window.press("j")
    expect(page.get_by_text("Reject: why?")).to_be_visible(timeout=10_000)
    window.press("1")
    expect(page.get_by_text("rejected", exact=True)).to_be_visible(timeout=10_000)
    expect(page.get_by_role("button", name=re.compile("^Undo"))).to_be_enabled(timeout=10_000)
    window.press("u")
    expect(page.get_by_text("open", exact=True)).to_be_visible(timeout=10_000)
    window.press("a")
    expect(page.get_by_text("accepted", exact=True)).to_be_visible(timeout=10_000)
    expect(page.get_by_role("button", name=re.compile("^Finish case"))).to_be_enabled(timeout=10_000)
    window.press("Control+Enter")
    expect(page.get_by_text("This case is decided.")).to_be_visible(timeout=10_000)
    window.press("q")
    expect(page.get_by_text("Open most urgent")).to_be_visible(timeout=10_000)
    reviews = reviews_of(installation, case)
    assert [[one.verdict for one in review.decisions] for review in reviews] == [
        ["rejected"],
        [],
        ["accepted"],
        ["accepted"],
    ]
    assert [review.complete for review in reviews] == [False, False, False, True]
    assert case_of(installation, "chest_xray").status == "decided"
