"""Drawing the segmentation: which voxels change, that undo is exact, and what reaches the server."""

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from app.services.view import View, ViewLabel, Window
from tests.app.components.drawing import SHAPE, SPACING, brute_distance, near
from tests.app.components.viewer_page import ViewerPage
from tests.app.components.viewer_server import Case

RADIUS = 6.5


def drawn_on(**changes: object) -> Case:
    """Smooth noise of HU with a label in a corner."""
    told = {
        "kind": "volume",
        "shape": SHAPE,
        "spacing_mm": SPACING,
        "unit": "HU",
        "windows": (Window(name="Soft", centre=40.0, width=80.0),),
        "labels": (
            ViewLabel(index=1, name="Liver", colour=(0, 200, 0)),
            ViewLabel(index=2, name="Tumour", colour=(200, 0, 0)),
        ),
        "editable": True,
        "result_sha256": "c" * 64,
    }
    noise = ndimage.gaussian_filter(np.random.default_rng(7).normal(size=SHAPE[::-1]), 2.0)
    labels: NDArray[np.uint8] = np.zeros(SHAPE[::-1], np.uint8)
    labels[:, :6, :6] = 1
    return Case(View.model_validate(told | changes), (noise * 700 + 40).astype("<i2"), labels)


def original(case: Case) -> NDArray[np.uint8]:
    assert case.labels is not None
    return case.labels


def save(shown: ViewerPage) -> NDArray[np.uint8]:
    """The label map that the server has after saving."""
    before = len(shown.case.masks)
    shown.press("Control+s")
    shown.wait("!viewer().state().dirty")
    assert len(shown.case.masks) == before + 1
    return shown.case.masks[f"mask-{before + 1}"]


def set_radius(shown: ViewerPage, millimetres: float) -> None:
    shown.control("Radius of the brush, mm").fill(str(millimetres))


def test_a_dab_changes_a_disc_and_the_server_gets_it(shown: ViewerPage) -> None:
    case = drawn_on()
    shown.show(case)
    shown.press("e")
    set_radius(shown, RADIUS)
    # The mouse stands on whole pixels: no voxel may be so near to the rim that it matters.
    centres = np.hypot(*np.meshgrid(np.arange(SHAPE[0]) * SPACING[0], np.arange(SHAPE[1]) * SPACING[1]))
    assert np.abs(centres - RADIUS).min() > 1 / shown.state()["planes"]["axial"]["scale"]
    shown.drag("axial", (30, 20, 6))
    expected = original(case).copy()
    expected[6][near((1, 0), [(30, 20), (30, 20)], RADIUS)] = 1
    assert shown.state()["changedVoxels"] == int((expected != original(case)).sum())
    assert np.array_equal(save(shown), expected)
    digest = hashlib.sha256(expected.tobytes()).hexdigest()
    changed = int((expected != original(case)).sum())
    assert shown.events() == [["mask_saved", {"mask": "mask-1", "sha256": digest, "changed_voxels": changed}]]


@pytest.mark.parametrize(("plane", "axes"), [("axial", (1, 0, 2)), ("coronal", (2, 0, 1)), ("sagittal", (2, 1, 0))])
def test_a_stroke_is_as_wide_as_the_brush_in_every_plane(
    shown: ViewerPage, plane: str, axes: tuple[int, int, int]
) -> None:
    case = drawn_on()
    shown.show(case)
    shown.press("e")
    shown.control("Label to draw with").select_option("2")
    set_radius(shown, 3.5)
    rows, columns, through = axes
    slice_ = shown.state()["cross"][through]
    ends = [(SHAPE[columns] // 4, SHAPE[rows] // 4), (SHAPE[columns] * 3 // 4, SHAPE[rows] * 3 // 4)]
    voxels = []
    for u, v in ends:
        voxel = [slice_, slice_, slice_]
        voxel[columns], voxel[rows] = u, v
        voxels.append((voxel[0], voxel[1], voxel[2]))
    shown.drag(plane, *voxels)
    changed = np.moveaxis(save(shown) == 2, 2 - through, 0)
    assert not changed[np.arange(SHAPE[through]) != slice_].any()
    found = changed[slice_] if columns < rows else changed[slice_].T
    # The mouse stands on whole pixels: a voxel may be missed or taken that is within a pixel of the rim.
    slack = 1 / shown.state()["planes"][plane]["scale"]
    assert not (near((rows, columns), ends, 3.5 - slack) & ~found).any()
    assert not (found & ~near((rows, columns), ends, 3.5 + slack)).any()


def test_the_eraser_takes_away(shown: ViewerPage) -> None:
    case = drawn_on()
    shown.show(case)
    shown.press("e", "z")
    set_radius(shown, 30)
    shown.drag("axial", (3, 3, 6))
    saved = save(shown)
    assert not saved[6].any()
    assert np.array_equal(np.delete(saved, 6, 0), np.delete(original(case), 6, 0))


def test_undo_and_redo_are_exact(shown: ViewerPage) -> None:
    case = drawn_on()
    shown.show(case)
    shown.press("e")
    set_radius(shown, 5)
    states = []
    for index, voxel in enumerate([(10, 10, 6), (14, 12, 6), (5, 5, 6), (40, 30, 6)]):
        states.append(_digest(shown))
        shown.press("z" if index == 2 else "b")
        shown.drag("axial", voxel, (voxel[0] + 4, voxel[1] + 3, 6))
    states.append(_digest(shown))
    assert len(set(states)) == 5
    for before in reversed(states[:-1]):
        shown.press("Control+z")
        assert _digest(shown) == before
    assert shown.state()["changedVoxels"] == 0
    for after in states[1:]:
        shown.press("Control+y")
        assert _digest(shown) == after


def _digest(shown: ViewerPage) -> str:
    """Every label, one after the other."""
    source = """([columns, rows, slices]) => {
      const all = [];
      for (let k = 0; k < slices; k++)
        for (let j = 0; j < rows; j++) for (let i = 0; i < columns; i++) all.push(viewer().label(i, j, k));
      return all.join("");
    }"""
    return str(shown.page.evaluate(source, list(SHAPE)))


def test_fill_takes_what_hangs_together(shown: ViewerPage) -> None:
    case = drawn_on()
    shown.show(case)
    shown.press("e", "f")
    shown.control("Fill values within this range of the clicked one").fill("15")
    shown.press("Tab")
    shown.drag("axial", (24, 20, 6))
    assert case.image is not None
    plane = case.image[6].astype(int)
    regions, _ = ndimage.label(np.abs(plane - plane[20, 24]) <= 15)
    expected = original(case).copy()
    expected[6][regions == regions[20, 24]] = 1
    assert 20 < (expected != original(case)).sum() < plane.size / 2
    assert np.array_equal(save(shown), expected)


def test_fill_can_take_the_window(shown: ViewerPage) -> None:
    case = drawn_on()
    shown.show(case)
    shown.press("e", "f")
    shown.control("Fill all values inside the window").check()
    shown.drag("coronal", (24, 20, 6))
    assert case.image is not None
    plane = case.image[:, 20].astype(int)
    regions, _ = ndimage.label((plane >= 0) & (plane <= 80))
    expected = original(case).copy()
    if regions[6, 24]:
        expected[:, 20][regions == regions[6, 24]] = 1
    assert np.array_equal(save(shown), expected)


def test_slices_between_two_drawn_ones_are_interpolated(shown: ViewerPage) -> None:
    case = drawn_on()
    shown.show(case)
    shown.press("e")
    shown.control("Label to draw with").select_option("2")
    set_radius(shown, 6)
    shown.page.locator("[data-plane=axial]").focus()
    shown.press("Home", "PageUp", "ArrowDown", "ArrowDown")
    shown.drag("axial", (20, 20, 8), (30, 22, 8))
    for _ in range(5):
        shown.page.keyboard.press("ArrowDown")
    set_radius(shown, 9)
    shown.drag("axial", (28, 15, 3))
    assert shown.state()["cross"][2] == 3
    shown.press("k")
    saved = save(shown)
    low, high = (brute_distance(saved[k] == 2, SPACING[:2]) for k in (3, 8))
    for k in range(4, 8):
        part = (k - 3) / 5
        blend = (1 - part) * low + part * high
        sure = np.abs(blend) > 1e-9
        assert np.array_equal((saved[k] == 2)[sure], (blend > 0)[sure])
        assert (saved[k] == 2).any()
    assert not (saved[[0, 1, 2, 9, 10, 11]] == 2).any()
    shown.press("Control+z")
    assert not (save(shown)[4:8] == 2).any()


def test_the_original_is_kept(shown: ViewerPage) -> None:
    case = drawn_on()
    shown.show(case)
    shown.press("e")
    set_radius(shown, 8)
    shown.drag("axial", (30, 20, 6))
    edited = shown.pixel("axial", (30, 20, 6))
    shown.press("o")
    compared = shown.pixel("axial", (30, 20, 6))
    shown.press("o")
    assert shown.pixel("axial", (30, 20, 6)) == edited != compared
    shown.page.get_by_role("button", name="Discard all changes").click()
    assert shown.state()["changedVoxels"] == 0
    assert shown.label((30, 20, 6)) == 0
    shown.press("Control+z")
    assert shown.label((30, 20, 6)) == 1


def test_the_crosshair_draws_by_keyboard_alone(shown: ViewerPage) -> None:
    case = drawn_on()
    shown.show(case)
    i, j, k = shown.state()["cross"]
    shown.press("e", "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown")
    shown.press(*["["] * 12, "Enter")
    expected = original(case).copy()
    expected[k, j + 1, i + 2] = 1
    assert np.array_equal(save(shown), expected)


def test_a_saved_mask_is_shown_and_a_rerun_leaves_it(shown: ViewerPage) -> None:
    case = drawn_on()
    case.masks["mine"] = np.full(SHAPE[::-1], 2, np.uint8)
    shown.show(case, mask="mine")
    assert shown.label((47, 39, 11)) == 2
    shown.press("e", "z")
    shown.drag("axial", (30, 20, 6))
    shown.hand_over(case, mask="mine", token=case.token)
    assert shown.label((30, 20, 6)) == 0
    saved = save(shown)
    shown.hand_over(case, mask="mask-2")
    assert shown.label((30, 20, 6)) == 0
    assert np.array_equal(case.masks["mask-2"], saved)
    assert [what for _, what, _ in case.asked if what == "masks/mask-2"] == []


def test_who_may_not_edit_cannot(shown: ViewerPage) -> None:
    shown.show(drawn_on(), editable=False)
    shown.press("e", "b")
    assert shown.state()["tool"] == "crosshair"
    assert shown.page.get_by_role("button", name="Edit the segmentation").count() == 0


def test_without_help_one_draws_from_nothing(shown: ViewerPage) -> None:
    case = drawn_on()
    shown.show(case, aided=False)
    shown.press("e")
    set_radius(shown, 8)
    shown.drag("axial", (30, 20, 6))
    saved = save(shown)
    assert saved[6, 20, 30] == 1
    assert not saved[:, :6, :6].any()
