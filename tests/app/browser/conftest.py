"""A browser and a running review app, shared by the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from playwright.sync_api import Browser, sync_playwright

from datasets.phantoms import default_grid
from tests.app.browser.installation import Installation, started
from tests.app.planted import plant_failure, plant_film, plant_liver

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
# Enough slices to scroll a hundred of them.
TALL = default_grid((5.0, 5.0, 2.5))
HOSTILE = "<script>document.title='taken'</script>"


def _rename(folder: Path, name: str) -> None:
    for file in sorted(folder.rglob("*.dcm")):
        header = pydicom.dcmread(file)
        header.PatientName = header.PatientID = header.StudyDescription = header.SeriesDescription = name
        header.save_as(file)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    root: Path = tmp_path_factory.mktemp("installation")
    plant_liver(root, grid=TALL)
    _rename(root / "scans", HOSTILE)
    plant_film(root)
    plant_failure(root)
    running = started(root, [root / "results"])
    yield running
    running.stop()
