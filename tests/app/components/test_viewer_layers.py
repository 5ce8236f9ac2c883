"""What lies over the image: labels and explanation maps, their colours, and text that comes from files."""

import numpy as np
import pytest
from numpy.typing import NDArray

from app.services.view import HeatLayer, View, ViewLabel, Window
from tests.app.components.viewer_page import ViewerPage
from tests.app.components.viewer_server import Case

SHAPE = (20, 16, 6)
GREY = 100
GREEN, RED = (10, 200, 60), (250, 30, 20)
SCRIPT = "<script>alert(1)</script>"


def layered(**changes: object) -> Case:
    """Grey 100 everywhere; label 1 fills the left half, label 3 a block in it; a heat map grows from left to right."""
    heats = (
        HeatLayer(number=0, label="Tumour", method="Grad-CAM", verdict="faithful", maximum=0.5),
        HeatLayer(number=1, label="Tumour", method="Occlusion", verdict="not_faithful", why=("Deletion fails.",)),
        HeatLayer(number=2, label="Liver", method="RISE", maps=False),
    )
    told = {
        "kind": "volume",
        "shape": SHAPE,
        "spacing_mm": (1.0, 1.0, 2.0),
        "dtype": "uint8",
        "windows": (Window(name="All", centre=127.5, width=255.0),),
        "labels": (ViewLabel(index=1, name="Liver", colour=GREEN), ViewLabel(index=3, name="Tumour", colour=RED)),
        "heats": heats,
        "editable": True,
        "result_sha256": "b" * 64,
    }
    labels: NDArray[np.uint8] = np.zeros(SHAPE[::-1], np.uint8)
    labels[:, :, :10] = 1
    labels[2:5, 4:10, 3:8] = 3
    ramp = np.broadcast_to(np.linspace(0, 255, SHAPE[0]).round().astype(np.uint8), SHAPE[::-1])
    image = np.full(SHAPE[::-1], GREY, np.uint8)
    return Case(View.model_validate(told | changes), image, labels, {0: ramp.copy(), 1: ramp[:, :, ::-1].copy()})


def mixed(over: tuple[int, int, int], opacity: float, under: int = GREY) -> list[float]:
    return [opacity * part + (1 - opacity) * under for part in over]


def test_areas_of_labels_have_exact_colours(shown: ViewerPage) -> None:
    shown.show(layered())
    liver, tumour, none = shown.pixels("axial", [(1, 12, 3), (5, 7, 3), (15, 7, 3)])
    assert none == (GREY, GREY, GREY)
    # 0.35 is what is shown first; eight bits round twice.
    assert liver == pytest.approx(mixed(GREEN, 0.35), abs=1.01)
    assert tumour == pytest.approx(mixed(RED, 0.35), abs=1.01)
    shown.control("Opacity of the segmentation").fill("100")
    shown.settle()
    assert shown.pixels("axial", [(1, 12, 3), (5, 7, 3)]) == [GREEN, RED]


def test_labels_hide_one_by_one_and_together(shown: ViewerPage) -> None:
    shown.show(layered())
    shown.control("Show Tumour").uncheck()
    shown.settle()
    liver, tumour = shown.pixels("axial", [(1, 12, 3), (5, 7, 3)])
    assert liver == pytest.approx(mixed(GREEN, 0.35), abs=1.01)
    assert tumour == (GREY, GREY, GREY)
    shown.press("s")
    assert shown.pixel("axial", (1, 12, 3)) == (GREY, GREY, GREY)
    assert not shown.control("Show the segmentation (S)").is_checked()


def test_outlines_run_along_the_edges_of_voxels(shown: ViewerPage) -> None:
    shown.show(layered())
    shown.control("Opacity of the segmentation").fill("0")
    shown.settle()
    # Half a voxel beyond the centre of column 9 is where the liver ends.
    edge, inside = shown.pixels("axial", [(9.5, 1, 3), (8.5, 1, 3)])
    assert edge[1] > 150
    assert inside == (GREY, GREY, GREY)


def test_outlines_hold_every_edge_once(shown: ViewerPage) -> None:
    rng = np.random.default_rng(5)
    plane = (rng.random((9, 11)) > 0.5).astype(np.uint8) * 2
    source = """(() => {
      const lines = [];
      window.Path2D = class { moveTo(x, y) { this.at = [x, y]; } lineTo(x, y) { lines.push([...this.at, x, y]); } };
      const kept = Object.getPrototypeOf(window.Path2D);
      m.outlines(Uint8Array.from(x.flat()), 11, 9);
      return lines;
    })()"""
    lines = shown.module("painter", source, plane.tolist())
    shown.page.reload()
    padded = np.pad(plane, 1)
    across = {(column, row) for row, column in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]).tolist()}
    down = {(column, row) for row, column in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]).tolist()}
    drawn_across = [(x, y0) for x0, y0, x1, y1 in lines if y0 == y1 for x in range(x0, x1)]
    drawn_down = [(x0, y) for x0, y0, x1, y1 in lines if x0 == x1 for y in range(y0, y1)]
    assert sorted(drawn_across) == sorted(across)
    assert sorted(drawn_down) == sorted(down)


def test_a_map_is_fetched_when_it_is_first_shown(shown: ViewerPage) -> None:
    case = layered()
    shown.show(case)
    assert not [what for _, what, _ in case.asked if what.startswith("heat")]
    shown.control("Explanation map (H)").select_option("0")
    shown.wait("viewer().state().heat === 0")
    shown.page.locator("[data-plane=axial]").focus()
    shown.press("h")
    shown.wait("viewer().state().heat === 1")
    shown.press("h")
    shown.wait("viewer().state().heat === null")
    shown.press("h")
    shown.wait("viewer().state().heat === 0")
    assert [what for _, what, _ in case.asked if what == "heat/0"] == ["heat/0"]
    options = shown.control("Explanation map (H)").locator("option").all_text_contents()
    assert options == ["None", "Tumour, Grad-CAM", "Tumour, Occlusion (not faithful)"]


def test_heat_is_clear_where_it_is_faint_and_coloured_where_not(shown: ViewerPage) -> None:
    shown.show(layered())
    shown.control("Explanation map (H)").select_option("0")
    shown.wait("viewer().state().heat === 0")
    shown.press("i")
    shown.control("Opacity of the explanation").fill("100")
    shown.settle()
    bytes_of = np.linspace(0, 255, SHAPE[0]).round()
    drawn = shown.pixels("axial", [(i, 14, 3) for i in range(10, SHAPE[0])])
    colours = shown.module("colours", "x.map(part => m.heatColour(part))", [byte / 255 for byte in bytes_of[10:]])
    assert drawn == [tuple(colour) for colour in colours]
    assert shown.pixels("axial", [(0, 14, 3), (1, 14, 3)]) == [(GREY, GREY, GREY)] * 2
    shown.move("axial", (19, 14, 3))
    assert shown.text(".readout").endswith("heat 0.50")


def test_a_map_that_is_not_faithful_is_grey_and_says_why(shown: ViewerPage) -> None:
    shown.show(layered())
    shown.control("Explanation map (H)").select_option("1")
    shown.wait("viewer().state().heat === 1")
    for red, green, blue in shown.pixels("axial", [(i, 14, 3) for i in range(11, SHAPE[0])]):
        assert red == green == blue
    assert shown.text(".why") == "Not faithful: Deletion fails."


def test_colours_of_heat_grow_lighter_evenly(shown: ViewerPage) -> None:
    for faithful in (True, False):
        colours = shown.module(
            "colours", "x[0].map(part => m.heatColour(part, x[1]))", [[n / 20 for n in range(21)], faithful]
        )
        linear = ((np.asarray(colours) / 255 + 0.055) / 1.055) ** 2.4
        long = np.cbrt(linear @ (0.4122214708, 0.5363325363, 0.0514459929))
        middle = np.cbrt(linear @ (0.2119034982, 0.6806995451, 0.1073969566))
        short = np.cbrt(linear @ (0.0883024619, 0.2817188376, 0.6299787005))
        lightness = 0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short
        assert np.diff(lightness) == pytest.approx(0.65 / 20, abs=0.012)


def test_names_from_files_are_text(shown: ViewerPage) -> None:
    labels = (ViewLabel(index=1, name=SCRIPT, colour=GREEN),)
    heats = (HeatLayer(number=0, label=SCRIPT, method="<b>m</b>", verdict="not_faithful", why=("<i>why</i>",)),)
    windows = (Window(name="<u>w</u>", centre=127.5, width=255.0),)
    shown.show(layered(labels=labels, heats=heats, windows=windows))
    shown.control("Explanation map (H)").select_option("0")
    shown.wait("viewer().state().heat === 0")
    shown.press("e")
    shown.move("axial", (1, 1, 3))
    assert SCRIPT in shown.text(".readout")
    assert shown.page.get_by_text(SCRIPT, exact=True).count() >= 1
    assert shown.page.evaluate("root().querySelectorAll('script, b, u, .why i').length") == 0
