"""The picture of the review app in the README: `make picture`, from the demonstration's phantoms."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.app.browser.conftest import ARGUMENTS, CHROMIUM
from tests.app.browser.installation import started
from tests.app.browser.window import Window

SIZES = {"review.png": (1440, 900), "review_small.png": (1024, 768)}


def main(demo: Path, folder: Path) -> None:
    """Open the most urgent liver of a demonstration and photograph the page.

    Args:
        demo: What `denselens demo --out` wrote.
        folder: Where the pictures are written.
    """
    (demo / "picture").mkdir(exist_ok=True)
    running = started(demo / "picture", [demo / "liver_ct" / "results", demo / "chest_xray" / "results"])
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            for name, (width, height) in SIZES.items():
                window = Window(browser, running, width, height)
                window.page.screenshot(path=folder / f"worklist_{name}")
                window.open("liver")
                window.wait_until_shown()
                window.press("n")
                window.page.wait_for_timeout(1500)
                window.page.screenshot(path=folder / name)
                window.page.close()
            browser.close()
    finally:
        running.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
