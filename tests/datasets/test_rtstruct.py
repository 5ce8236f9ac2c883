"""Outlines to voxels: against formulas, scikit-image, and the traps of the format."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.geometry import Grid, grid_from_axes
from datasets.io.rtstruct import Contour, Roi, filled_outline, place_roi, read_rtstruct, roi_mask
from datasets.phantoms import default_grid
from tests.datasets.rtstruct_files import CLOSED, XOR, circle, ellipsoid, inside_ellipsoid, on_slice, write_rtstruct
from tests.datasets.seg_source import header

GRID = grid_from_axes((60, 50, 20), (1.5, 1.2, 3.0), np.diag([-1.0, -1.0, 1.0]), (40.0, 30.0, -20.0))
OUTER, INNER, SPECK = circle(20.0, centre=(29.3, 24.4)), circle(9.0, centre=(30.1, 25.2)), circle(3.0, centre=(30, 25))


def roi(*outlines: tuple[str, NDArray[np.float64]]) -> Roi:
    return Roi("Region", tuple(Contour(points, kind != CLOSED) for kind, points in outlines))


def disc(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return filled_outline(points, (50, 60))


@pytest.mark.parametrize("orientation", ["LPS", "PIR", "LIP", "RAS"])
def test_an_ellipsoid_has_its_volume_and_its_voxels(tmp_path: Path, orientation: str) -> None:
    field = default_grid((2.0, 2.0, 2.5), orientation, (4.0, -6.0, 9.0))
    grid = Grid((80, 70, 50), field.affine)
    centre, radii = (38.2, 33.7, 24.6), (50.0, 40.0, 45.0)
    path = write_rtstruct(tmp_path / "rs.dcm", {"Liver": ellipsoid(grid, centre, radii)}, [header(0)])
    mask = roi_mask(read_rtstruct(path).rois[0], grid)
    volume_ml = mask.sum() * grid.voxel_volume_ml
    assert volume_ml == pytest.approx(4 / 3 * np.pi * np.prod(radii) / 1000.0, rel=0.005)
    truth = inside_ellipsoid(grid, centre, radii)
    # A polygon of 180 corners lies up to 0.015 % of the radius inside the circle: only voxels on the boundary differ.
    wrong = np.argwhere(mask != truth)[:, ::-1]
    scale = np.asarray(grid.spacing_mm) / radii
    distance = np.abs(np.linalg.norm((wrong - centre) * scale, axis=1) - 1.0)
    assert len(wrong) < 1e-3 * truth.sum()
    assert (distance < 2e-3).all()


def test_any_polygon_is_filled_as_scikit_image_fills_it() -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        corners = rng.uniform(-5, 45, (int(rng.integers(3, 12)), 2))
        theirs = polygon2mask((40, 35), corners[:, ::-1])
        np.testing.assert_array_equal(filled_outline(corners, (40, 35)), theirs)


def test_outlines_that_share_an_edge_share_no_pixel() -> None:
    left, right = np.array([[2, 2], [6, 2], [6, 9], [2, 9.0]]), np.array([[6, 2], [11, 2], [11, 9], [6, 9.0]])
    one, other = disc(left), disc(right)
    assert not (one & other).any()
    assert (one | other).sum() == 9 * 7
    assert one.sum() == 4 * 7


def test_holes_are_holes_however_they_are_written() -> None:
    ring = disc(OUTER) & ~disc(INNER)
    assert ring.sum() == pytest.approx(np.pi * (20.0**2 - 9.0**2), rel=0.01)
    # From the outer circle to the inner one, round it the other way, and back over the same line.
    keyhole = np.concatenate([OUTER, OUTER[:1], INNER[:1], INNER[::-1], OUTER[:1]])
    for outlines in ([(XOR, OUTER), (XOR, INNER)], [(CLOSED, INNER), (CLOSED, OUTER)], [(CLOSED, keyhole)]):
        drawn = roi(*((kind, on_slice(GRID, 4, points)) for kind, points in outlines))
        mask = roi_mask(drawn, GRID)
        assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [4]
        assert np.count_nonzero(mask[4] != ring) <= (3 if len(outlines) == 1 else 0)


def test_an_island_in_a_hole_and_outlines_that_overlap() -> None:
    three = roi(*((CLOSED, on_slice(GRID, 2, points)) for points in (SPECK, OUTER, INNER)))
    np.testing.assert_array_equal(roi_mask(three, GRID)[2], (disc(OUTER) & ~disc(INNER)) | disc(SPECK))
    beside = circle(20.0, centre=(39.3, 24.4))
    both = [on_slice(GRID, 2, OUTER), on_slice(GRID, 2, beside)]
    added = roi_mask(roi(*((CLOSED, points) for points in both)), GRID)[2]
    np.testing.assert_array_equal(added, disc(OUTER) | disc(beside))
    without = roi_mask(roi(*((XOR, points) for points in both)), GRID)[2]
    np.testing.assert_array_equal(without, disc(OUTER) ^ disc(beside))


def test_an_outline_that_is_there_twice_counts_once() -> None:
    points = on_slice(GRID, 2, OUTER)
    np.testing.assert_array_equal(roi_mask(roi((CLOSED, points), (CLOSED, points)), GRID)[2], disc(OUTER))


def test_planes_beside_the_slices_go_to_the_nearest_and_are_told() -> None:
    placed = place_roi(roi(*((CLOSED, on_slice(GRID, k + 0.5, OUTER)) for k in range(3, 8))), GRID)
    assert sorted(placed.outlines) == [4, 5, 6, 7, 8]
    assert placed.astray == pytest.approx(0.5)
    fine = place_roi(roi(*((CLOSED, on_slice(GRID, 4 + n / 3, OUTER)) for n in range(7))), GRID)
    assert sorted(fine.outlines) == [4, 5, 6]
    assert (fine.dropped, fine.empty_between) == (4, 0)
    assert all(len(outlines) == 1 for outlines in fine.outlines.values())
    gap = place_roi(roi((CLOSED, on_slice(GRID, 3, OUTER)), (CLOSED, on_slice(GRID, 7, OUTER))), GRID)
    assert gap.empty_between == 3


@pytest.mark.parametrize("k", [-0.7, 19.7])
def test_outlines_beyond_the_image_are_refused(k: float) -> None:
    with pytest.raises(InputRefused, match="of 20") as caught:
        roi_mask(roi((CLOSED, on_slice(GRID, k, OUTER))), GRID)
    assert caught.value.code is RefusalCode.DIFFERENT_GRIDS


def test_outlines_tilted_against_the_slices_are_refused() -> None:
    points = on_slice(GRID, 8, OUTER)
    points[:, 2] += np.linspace(-2.0, 2.0, len(points))
    with pytest.raises(InputRefused, match="runs through"):
        roi_mask(roi((CLOSED, points)), GRID)


def test_what_sticks_out_of_the_slice_is_cut_off() -> None:
    wide = circle(40.0, 720, centre=(29.5, 24.5))
    assert roi_mask(roi((CLOSED, on_slice(GRID, 0, wide))), GRID)[0].all()
    beside = circle(10.0, centre=(-30.0, 24.5))
    assert not roi_mask(roi((CLOSED, on_slice(GRID, 0, beside))), GRID).any()


def test_references_and_names_are_read_and_points_left_out(tmp_path: Path) -> None:
    outlines = [(CLOSED, on_slice(GRID, 1, OUTER)), ("POINT", on_slice(GRID, 1, OUTER[:1]))]
    only_points = [("POINT", on_slice(GRID, 1, OUTER[:1])), ("OPEN_PLANAR", on_slice(GRID, 1, OUTER))]
    path = write_rtstruct(tmp_path / "rs.dcm", {"GTV p": outlines, "Iso": only_points}, [header(0), header(1)])
    found = read_rtstruct(path)
    assert [(one.name, len(one.contours)) for one in found.rois] == [("GTV p", 1)]
    np.testing.assert_allclose(found.rois[0].contours[0].points_mm, outlines[0][1], atol=1e-4)
    assert found.series_uids == ("1.2.3.2",)
    assert found.instance_uids == {"1.2.3.4.1", "1.2.3.4.2"}


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "rs.dcm", {"a": [(CLOSED, on_slice(GRID, 1, OUTER))]}, [header(0)])
    content = path.read_bytes()
    (tmp_path / "text.dcm").write_text("no DICOM at all, but a text that is long enough for a header " * 10)
    start = content.index(b"CLOSED_PLANAR")
    (tmp_path / "odd.dcm").write_bytes(content[:start] + content[start:].replace(b"\\", b"x", 1))
    codes = {}
    for name in ("text.dcm", "odd.dcm"):
        with pytest.raises(InputRefused) as caught:
            read_rtstruct(tmp_path / name)
        codes[name] = caught.value.code
    assert codes == {"text.dcm": RefusalCode.UNREADABLE_FILE, "odd.dcm": RefusalCode.INCONSISTENT_FRAMES}
