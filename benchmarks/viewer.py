"""The image viewer in Chromium: opening a case, redrawing its planes, drawing on it: `python -m benchmarks.viewer`.

A volume of 512 x 512 x 300 voxels with labels and a heat map comes from a server on this machine. Times of a redraw are
those that the viewer takes itself, from the change to the finished canvas; the page is 1440 x 900 and no graphics card
draws it. The aim is 16 ms, one frame, for the median. Needs /usr/bin/chromium and the development packages.
"""

import argparse
import gzip
import json
import statistics
import time
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from app.commands.bench import describe_machine
from app.services.view import HeatLayer, View, ViewLabel, Window
from tests.app.components.conftest import ARGUMENTS, CHROMIUM
from tests.app.components.viewer_page import ViewerPage
from tests.app.components.viewer_server import Case, Server

TAKES = ("--json", "--quick")

SLICES = 100
STROKES = 20

Row = dict[str, Any]


def case_of(shape: tuple[int, int, int]) -> Case:
    """Two balls in noise, and heat around them."""
    columns, rows, slices = shape
    k, j, i = np.ogrid[:slices, :rows, :columns]
    away = ((i / columns - 0.5) ** 2 + (j / rows - 0.5) ** 2 + (k / slices - 0.5) ** 2) * 4
    labels = (away < 0.5).astype(np.uint8) + (away < 0.05).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 20, (rows, columns))
    view = View(
        kind="volume",
        shape=shape,
        spacing_mm=(0.8, 0.8, 1.5),
        directions=((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        unit="HU",
        windows=(Window(name="Abdomen", centre=40, width=400),),
        labels=(
            ViewLabel(index=1, name="Liver", colour=(40, 160, 70)),
            ViewLabel(index=2, name="Tumour", colour=(240, 80, 60)),
        ),
        heats=(HeatLayer(number=0, label="Tumour", method="Grad-CAM"),),
        editable=True,
        result_sha256="b" * 64,
    )
    heat = (255 * np.exp(-away * 4)).astype(np.uint8)
    packed = {"labels": gzip.compress(labels.tobytes(), 1)}
    return Case(view, (labels * 60 + noise).astype("<i2"), labels, {0: heat}, packed=packed)


def drawn(page: Page, plane: str, work: Any) -> list[float]:
    """Milliseconds of every redraw of a plane while something is done."""
    before = len(page.evaluate("viewer().drawTimes()")[plane])
    work()
    return list(page.evaluate("viewer().drawTimes()")[plane][before:])


def rows_of(shape: tuple[int, int, int], slices: int) -> list[Row]:
    """Every figure with what it is of."""
    server = Server()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(server.url)
        page.evaluate("fresh()")
        shown = ViewerPage(page, server)
        case = case_of(shape)
        begun = time.perf_counter()
        shown.hand_over(case)
        shown.wait("viewer()?.state().progress > 0")
        first = time.perf_counter() - begun
        shown.wait("viewer().ready")
        rows: list[Row] = [
            {"what": "case open, first slab", "ms": 1000 * first},
            {"what": "case open, all of it", "ms": 1000 * (time.perf_counter() - begun)},
        ]
        rows += scrolled(shown, slices)
        shown.control("Explanation map (H)").select_option("0")
        shown.wait("viewer().state().heat === 0")
        rows += scrolled(shown, slices, " with heat")
        rows.append(stroked(shown))
        browser.close()
    server.shutdown()
    return rows


def scrolled(shown: ViewerPage, slices: int, beside: str = "") -> list[Row]:
    """A row for each plane, alone and large."""
    rows = []
    for plane in ("axial", "coronal", "sagittal"):
        shown.page.get_by_role("button", name=plane.title(), exact=True).click()
        shown.page.locator(f"[data-plane={plane}]").focus()
        shown.press("Home")
        times = drawn(shown.page, plane, lambda: [shown.press("ArrowUp") for _ in range(slices)])
        rows.append(_row(f"redraw, {plane}{beside}", times))
    return rows


def stroked(shown: ViewerPage) -> Row:
    """Strokes of a brush in the axial plane."""
    shown.page.get_by_role("button", name="Axial", exact=True).click()
    shown.press("e")

    def work() -> None:
        for stroke in range(STROKES):
            shown.drag("axial", (100 + 10 * stroke, 200, 0), (110 + 10 * stroke, 300, 0))

    return _row("redraw while drawing", drawn(shown.page, "axial", work))


def _row(what: str, times: list[float]) -> Row:
    return {
        "what": what,
        "ms": statistics.median(times),
        "p95_ms": float(np.percentile(times, 95)),
        "times": len(times),
    }


def main() -> None:
    """Run all, and print the table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a small volume and few slices, to see that it works")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    shape, slices = ((128, 128, 60), 10) if options.quick else ((512, 512, 300), SLICES)
    rows = rows_of(shape, slices)
    if options.json:
        print(json.dumps({"rows": rows, "shape": shape}))
        return
    print(describe_machine())
    print(f"{'x'.join(map(str, shape))} voxels{'':16}{'median ms':>12}{'p95 ms':>10}")
    for row in rows:
        print(f"{row['what']:32}{row['ms']:12.1f}" + (f"{row['p95_ms']:10.1f}" if "p95_ms" in row else ""))


if __name__ == "__main__":
    main()
