"""The review app itself: how long a case takes to open, and what fifty of them leave behind, `denselens bench review`.

The real server, Chromium and a phantom of 512 x 512 x 300 whose view was prepared, as a worker does when a case comes
in. Opening is from the click on the worklist until the viewer has drawn a slice, and until all of the volume is there.
Then ten windows open ten cases at once, each of which must show its own, and fifty more are opened one after the
other: the memory of the page's process is told before and after.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from app.commands.bench import describe_machine
from app.services.intake import take_in
from app.store.cases import Cases, Wanted
from datasets.geometry import Grid, grid_from_axes
from tests.app.browser.conftest import ARGUMENTS, CHROMIUM
from tests.app.browser.installation import Installation, started
from tests.app.planted import COARSE, plant_liver

LARGE = grid_from_axes((512, 512, 300), (0.8, 0.8, 1.5), origin_mm=(-204.0, -204.0, -225.0))
_PATIENCE_S = 120.0
_USERS, _ONE_BY_ONE = 10, 50


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large-only", action="store_true", help="only how long a large case takes to open")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = Path(folder)
        running = started(root)
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            figures = _large(root, running, browser, asked.repeats)
            if not asked.large_only:
                figures |= _many(root, running, browser)
            browser.close()
        finally:
            running.stop()
    machine = describe_machine()
    if asked.json:
        print(json.dumps({"machine": machine, "figures": figures}, indent=2))
    else:
        print(machine)
        for name, value in figures.items():
            print(f"{name:<28} {value:10.2f}")
    return 0


def _large(root: Path, running: Installation, browser: Browser, repeats: int) -> dict[str, float]:
    _planted(root / "large", running, LARGE, 1)
    first, whole = [], []
    for _ in range(repeats):
        page = _page(browser, running)
        start = time.perf_counter()
        page.get_by_role("button", name="Open most urgent").click()
        _until(page, "e => e.denselens && Object.values(e.denselens.drawTimes()).some(one => one.length > 0)")
        first.append(time.perf_counter() - start)
        _until(page, "e => e.denselens.ready")
        whole.append(time.perf_counter() - start)
        page.close()
    return {"open_first_slice_s": statistics.median(first), "open_all_s": statistics.median(whole)}


def _many(root: Path, running: Installation, browser: Browser) -> dict[str, float]:
    cases = [_planted(root / f"small-{seed}", running, COARSE, seed) for seed in range(2, 2 + _USERS)]
    server = psutil.Process(running.process.pid)
    pages = [_page(browser, running) for _ in cases]
    for page, case in zip(pages, cases, strict=True):
        page.goto(f"{running.url}/case?id={case}")
    mixed = sum(not _shows(page, case, running) for page, case in zip(pages, cases, strict=True))
    for page in pages:
        page.close()
    before = server.memory_info().rss
    for number in range(_ONE_BY_ONE):
        page = _page(browser, running)
        page.goto(f"{running.url}/case?id={cases[number % len(cases)]}")
        _until(page, "e => e.denselens && e.denselens.ready")
        page.close()
    after = server.memory_info().rss
    return {
        "ten_at_once_mixed_up": float(mixed),
        "memory_before_mib": before / 2**20,
        "memory_after_50_mib": after / 2**20,
        "memory_grown_percent": 100.0 * (after - before) / before,
    }


def _planted(root: Path, running: Installation, grid: Grid, seed: int) -> str:
    database = running.database()
    case = take_in(database, plant_liver(root, seed, grid, dicom=False), "benchmark")
    running.viewing().prepare(case)
    database.close()
    return case.id


def _page(browser: Browser, running: Installation) -> Page:
    # A context of its own: another person, with nothing in the browser's cache.
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(running.url)
    page.get_by_role("button", name="Open most urgent").wait_for(timeout=_PATIENCE_S * 1000)
    return page


def _shows(page: Page, case: str, running: Installation) -> bool:
    _until(page, "e => e.denselens && e.denselens.ready")
    database = running.database()
    uid = next(one.study_uid for one in Cases(database).find(Wanted()) if one.id == case)
    database.close()
    return page.get_by_text(uid).count() > 0


def _until(page: Page, condition: str) -> None:
    page.locator(".denselens-viewer").first.wait_for(timeout=_PATIENCE_S * 1000)
    end = time.monotonic() + _PATIENCE_S
    while not page.locator(".denselens-viewer").first.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(condition)
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
