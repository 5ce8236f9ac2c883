"""Planes on the screen: where voxels lie, which letters stand at the edges, how grey they are, and how one moves."""

import numpy as np
import pytest

from app.services.view import Place, View, ViewLabel, Window
from tests.app.components.viewer_page import AXES, ViewerPage
from tests.app.components.viewer_server import Case

SHAPE = (7, 6, 5)
STRAIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
# Every value below is black at 0 and white at 255, so that a grey is its value.
IDENTITY = Window(name="All", centre=127.5, width=255.0)


def counted(**changes: object) -> Case:
    """A volume whose values say where they are: i + 7 j + 42 k."""
    told = {
        "kind": "volume",
        "shape": SHAPE,
        "spacing_mm": (2.0, 1.5, 3.0),
        "directions": STRAIGHT,
        "unit": "HU",
        "windows": (IDENTITY, Window(name="Narrow", centre=40.0, width=80.0)),
        "result_sha256": "a" * 64,
    }
    view = View.model_validate(told | changes)
    columns, rows, slices = view.shape
    values = np.arange(columns * rows * slices, dtype="<i2").reshape(slices, rows, columns)
    return Case(view, values.astype(f"<{np.dtype(view.dtype).str[1:]}"))


def value(i: int, j: int, k: int) -> int:
    return i + 7 * j + 42 * k


def test_every_voxel_lies_where_the_patient_has_it(shown: ViewerPage) -> None:
    shown.show(counted())
    shown.press("i")
    assert shown.state()["cross"] == [3, 3, 2]
    for plane, (across, down, through, _) in AXES.items():
        voxels = [voxel for voxel in np.ndindex(SHAPE) if voxel[through] == (3, 3, 2)[through]]
        assert len(voxels) == SHAPE[across] * SHAPE[down]
        assert shown.pixels(plane, voxels) == [(value(*voxel),) * 3 for voxel in voxels], plane


def _edges(shown: ViewerPage, plane: str) -> dict[str, str]:
    return {edge: shown.text(f"[data-plane={plane}] .at-{edge}") for edge in ("left", "right", "top", "bottom")}


def test_radiological_convention(shown: ViewerPage) -> None:
    shown.show(counted())
    assert _edges(shown, "axial") == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert _edges(shown, "coronal") == {"left": "R", "right": "L", "top": "H", "bottom": "F"}
    assert _edges(shown, "sagittal") == {"left": "A", "right": "P", "top": "H", "bottom": "F"}


@pytest.mark.parametrize(
    ("degrees", "letters"),
    [
        (19.0, {"left": "R", "right": "L", "top": "A", "bottom": "P"}),
        (21.0, {"left": "RA", "right": "LP", "top": "AL", "bottom": "PR"}),
        (60.0, {"left": "AR", "right": "PL", "top": "LA", "bottom": "RP"}),
    ],
)
def test_oblique_axes_tell_where_they_lean(shown: ViewerPage, degrees: float, letters: dict[str, str]) -> None:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    shown.show(counted(directions=((cos, sin, 0.0), (-sin, cos, 0.0), (0.0, 0.0, 1.0))))
    assert _edges(shown, "axial") == letters


def test_windows_are_exact(shown: ViewerPage) -> None:
    shown.show(counted())
    shown.press("i", "Shift+Digit2")
    assert shown.state()["window"] == {"centre": 40.0, "width": 80.0}
    shown.press("Home")
    for j, i in ((0, 0), (0, 1), (3, 4), (5, 6)):
        grey = round(255 * (value(i, j, 0) / 80))
        assert shown.pixel("axial", (i, j, 0)) == (grey, grey, grey)
    shown.press("End")
    assert shown.pixel("axial", (0, 0, 4)) == (255, 255, 255)


def test_slope_and_intercept_come_before_the_window(shown: ViewerPage) -> None:
    shown.show(counted(slope=2.0, intercept=-100.0, windows=(Window(name="Own", centre=0.0, width=200.0),)))
    shown.press("i", "Home")
    # Stored 50 is 0, the centre; 255/2 is rounded as JavaScript does, upwards.
    assert shown.pixel("axial", (1, 0, 0))[0] == round(255 * (2 * 1 - 100 + 100) / 200)
    shown.press("PageUp", "Home", "ArrowUp")
    assert shown.pixel("axial", (1, 1, 1)) == (128, 128, 128)


def test_dragging_with_the_right_button_changes_the_window(shown: ViewerPage) -> None:
    shown.show(counted())
    x, y = shown.on_page("axial", (3, 3, 2))
    shown.page.mouse.move(x, y)
    shown.page.mouse.down(button="right")
    shown.page.mouse.move(x + 50, y - 25)
    shown.page.mouse.up(button="right")
    window = shown.state()["window"]
    assert window["width"] == pytest.approx(255 * np.exp(0.2), rel=1e-6)
    assert window["centre"] == pytest.approx(127.5 - 25.5, rel=1e-6)
    shown.press("0")
    assert shown.state()["window"] == {"centre": 127.5, "width": 255.0}


def test_the_readout_tells_place_value_and_label(shown: ViewerPage) -> None:
    case = counted(labels=(ViewLabel(index=2, name="Liver", colour=(0, 200, 0)),))
    case.labels = np.zeros((5, 6, 7), np.uint8)
    case.labels[2, 4, 1] = 2
    shown.show(case)
    shown.move("axial", (1, 4, 2))
    assert shown.text(".readout").split("   ·   ") == ["L 2.0  P 6.0  H 6.0 mm", f"{value(1, 4, 2)} HU", "Liver"]
    shown.move("coronal", (5, 3, 4))
    assert shown.text(".readout").split("   ·   ") == ["L 10.0  P 4.5  H 12.0 mm", f"{value(5, 3, 4)} HU"]


def test_a_click_moves_the_other_planes(shown: ViewerPage) -> None:
    shown.show(counted())
    shown.drag("axial", (5, 1, 2))
    assert shown.state()["cross"] == [5, 1, 2]
    shown.drag("sagittal", (5, 4, 0))
    assert shown.state()["cross"] == [5, 4, 0]
    assert shown.text("[data-plane=coronal] .at-slice") == "Coronal  5 / 6"


def test_the_wheel_goes_through_a_hundred_slices(shown: ViewerPage) -> None:
    shown.show(counted(shape=(4, 4, 120)))
    shown.press("End")
    shown.move("axial", (2, 2, 119))
    for _ in range(100):
        shown.page.mouse.wheel(0, 100)
    shown.wait("viewer().state().cross[2] === 19")
    shown.page.mouse.wheel(0, -100)
    shown.wait("viewer().state().cross[2] === 20")


def test_zoom_keeps_what_is_under_the_cursor(shown: ViewerPage) -> None:
    shown.show(counted())
    shown.move("axial", (6, 5, 2))
    before = shown.text(".readout")
    shown.page.keyboard.down("Control")
    shown.page.mouse.wheel(0, -100)
    shown.page.keyboard.up("Control")
    shown.wait("viewer().state().planes.axial.zoom > 1.2")
    x, y = shown.page.locator("[data-plane=axial]").bounding_box(), shown.state()["planes"]["axial"]
    assert x is not None
    assert y["zoom"] == pytest.approx(np.exp(0.25))
    shown.page.mouse.move(*(part + 0.4 for part in shown.on_page("axial", (6, 5, 2))))
    shown.settle()
    assert shown.text(".readout") == before


def test_a_distance_is_in_millimetres_of_the_plane(shown: ViewerPage) -> None:
    shown.show(counted(shape=(40, 30, 20), spacing_mm=(0.5, 2.0, 4.0)))
    shown.press("d")
    shown.drag("axial", (4, 5, 10), (34, 25, 10))
    shown.drag("sagittal", (20, 4, 3), (20, 24, 15))
    found = shown.state()["measurements"]
    # 30 columns of 0.5 mm, 20 rows of 2 mm; 20 rows of 2 mm, 12 slices of 4 mm; the mouse stands on whole pixels.
    scales = [shown.state()["planes"][name]["scale"] for name in ("axial", "sagittal")]
    assert [one["unit"] for one in found] == ["mm", "mm"]
    assert found[0]["lengths"][0] == pytest.approx(np.hypot(15.0, 40.0), abs=2 / scales[0])
    assert found[1]["lengths"][0] == pytest.approx(np.hypot(40.0, 48.0), abs=2 / scales[1])
    shown.press("Delete", "Delete")
    assert shown.state()["measurements"] == []


def test_diameters_stay_perpendicular(shown: ViewerPage) -> None:
    one = {"kind": "diameter", "points": [[2.0, 3.0], [10.0, 7.0]], "foot": 0.5, "reach": [0.0, 0.0]}
    source = """(() => {
      m.drag(x, 2, [9, 1], [0.5, 2]);
      m.drag(x, 3, [4, 8], [0.5, 2]);
      return [m.ends(x, [0.5, 2]), m.lengths(x, [0.5, 2])];
    })()"""
    ends, (long, short) = shown.module("measure", source, one)
    mm = np.asarray(ends) * (0.5, 2.0)
    assert np.dot(mm[1] - mm[0], mm[3] - mm[2]) == pytest.approx(0.0, abs=1e-9)
    assert long == pytest.approx(np.hypot(4.0, 8.0))
    assert short == pytest.approx(float(np.linalg.norm(mm[3] - mm[2])))


def test_without_spacing_lengths_are_in_pixels(shown: ViewerPage) -> None:
    shown.show(counted(shape=(40, 30, 20), spacing_mm=None, directions=None))
    shown.press("d")
    shown.drag("axial", (4, 5, 10), (34, 5, 10))
    (one,) = shown.state()["measurements"]
    assert one["unit"] == "px"
    assert one["lengths"][0] == pytest.approx(30, abs=0.5)
    assert _edges(shown, "axial") == {"left": "", "right": "", "top": "", "bottom": ""}
    shown.move("axial", (4, 5, 10))
    assert shown.text(".readout").startswith("column 4, row 5")


def test_findings_are_jumped_to_and_clicked(shown: ViewerPage) -> None:
    places = (
        Place(finding=0, label="Tumour", positive=False, at=(1.0, 1.0, 4.0)),
        Place(finding=3, label="Tumour", positive=True, at=(5.2, 1.9, 0.6)),
    )
    case = counted(places=places)
    shown.show(case)
    assert shown.state()["cross"] == [5, 2, 1]
    shown.hand_over(case, focus={"finding": 0, "sequence": 1})
    assert shown.state()["cross"] == [1, 1, 4]
    shown.press("Home")
    shown.hand_over(case, focus={"finding": 0, "sequence": 1})
    assert shown.state()["cross"] == [1, 1, 0]
    shown.hand_over(case, focus={"finding": 0, "sequence": 2})
    assert shown.state()["cross"] == [1, 1, 4]
    shown.drag("axial", (1, 1, 4))
    assert shown.events() == [["focused", 0]]


def test_without_help_nothing_of_the_network_is_fetched(shown: ViewerPage) -> None:
    labels = (ViewLabel(index=1, name="Liver", colour=(0, 200, 0)),)
    case = counted(labels=labels, places=(Place(finding=0, label="Liver", positive=True, at=(1.0, 1.0, 1.0)),))
    case.labels = np.ones((5, 6, 7), np.uint8)
    shown.show(case, aided=False)
    assert shown.state()["cross"] == [3, 3, 2]
    assert {what for _, what, _ in case.asked} == {"image"}


def test_the_slab_of_the_finding_comes_first(shown: ViewerPage) -> None:
    place = Place(finding=0, label="Tumour", positive=True, at=(100.0, 100.0, 30.0))
    case = counted(shape=(512, 512, 40), places=(place,))
    case.delay_s = 0.3
    shown.hand_over(case)
    shown.wait("viewer()?.state().progress > 0")
    loaded = shown.state()["loaded"]
    assert loaded[30] == 1
    assert sum(loaded) < 40
    shown.wait("viewer().ready")
    ranges = [given for _, what, given in case.asked if what == "image"]
    first = int(ranges[0].removeprefix("bytes=").split("-")[0]) // (512 * 512 * 2)
    assert first <= 30 < first + 8
    assert shown.page.evaluate("viewer().voxel(511, 511, 39)") == int(np.asarray(case.image)[39, 511, 511])
