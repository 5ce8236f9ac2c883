"""The contact sheet shows slices as radiologists look at them, with the outlines where the labels are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from app.contact_sheet import TILES_PER_ROW, Row, write_contact_sheet
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.labels import LIVER_AND_TUMOR
from datasets.resampling import reorient

SIZE, SPACING_MM = 100, 2.0
# In the window 40/400 HU: 240 is white, 40 half way, -160 black.
TISSUE_HU, BRIGHT_HU, AIR_HU = 40, 240, -1000
LIVER, TUMOR = (label.colour for label in LIVER_AND_TUMOR.labels)
WHITE = (255, 255, 255)


def _grid(
    shape: tuple[int, int, int] = (SIZE, SIZE, 5), spacing: tuple[float, ...] = (SPACING_MM,) * 2 + (5.0,)
) -> Grid:
    """Axial slices: i to the patient's left, j to the back, from the feet up; the world's origin in their middle."""
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def _image(frames: NDArray[Any], grid: Grid, intensity: Intensity = Intensity.HOUNSFIELD) -> Image:
    """(I, J, K) to an image."""
    return Image.from_slices(np.ascontiguousarray(frames.transpose(2, 1, 0)), intensity, grid.affine)


def _labels(grid: Grid, *boxes: tuple[int, slice, slice]) -> Image:
    voxels = np.zeros(grid.shape, np.uint8)
    for value, i, j in boxes:
        voxels[i, j] = value
    return _image(voxels, grid, Intensity.LABEL)


def _tissue(grid: Grid) -> NDArray[np.int16]:
    return np.full(grid.shape, TISSUE_HU, np.int16)


def _sheet(path: Path, *rows: Row) -> NDArray[np.uint8]:
    write_contact_sheet(rows, LIVER_AND_TUMOR, path / "sheet.png")
    return np.asarray(Picture.open(path / "sheet.png").convert("RGB"))


def _first_tile(sheet: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The first slice of a sheet on which every slice is tissue to its edges."""
    grey = np.abs(sheet.astype(int) - 127).max(axis=2) <= 2
    rows = np.flatnonzero(grey.sum(axis=1) > 200)
    columns = np.flatnonzero(grey.sum(axis=0) > 100)
    last = columns[np.flatnonzero(np.diff(columns) > 5)[0]]
    tile: NDArray[np.uint8] = sheet[rows[0] : rows[-1] + 1, columns[0] : last + 1]
    return tile


def _like(pixels: NDArray[np.uint8], colour: tuple[int, ...], tolerance: int = 60) -> NDArray[np.bool_]:
    return np.asarray(np.abs(pixels.astype(int) - colour).max(axis=-1) <= tolerance)


@pytest.mark.parametrize("stored", ["LPS", "RAS", "PIR", "LIP", "ASL"])
def test_a_bright_spot_is_drawn_where_it_is(tmp_path: Path, stored: str) -> None:
    grid = _grid()
    hu = _tissue(grid)
    hu[20:24, 30:34] = BRIGHT_HU  # 56 mm to the patient's right, 36 mm in front of the middle
    image, labels = reorient(_image(hu, grid), stored), reorient(_labels(grid), stored)
    tile = _first_tile(_sheet(tmp_path, Row("title", "subtitle", image, labels)))
    height, width, _ = tile.shape
    # What is written on a tile lies at its edges.
    rows, columns = np.nonzero(tile[height // 10 : -height // 5, width // 10 : -width // 10, 0] > 240)
    centre = (columns.mean() + width // 10 + 0.5) / width, (rows.mean() + height // 10 + 0.5) / height
    assert centre == pytest.approx((0.22, 0.32), abs=0.01)


def test_outlines_run_along_the_edges_of_what_is_labelled(tmp_path: Path) -> None:
    grid = _grid()
    labels = _labels(grid, (1, slice(30, 70), slice(40, 80)), (2, slice(45, 55), slice(50, 60)))
    tile = _first_tile(_sheet(tmp_path, Row("", "", _image(_tissue(grid), grid), labels)))
    scale = tile.shape[1] / SIZE
    middle = round(55 * scale)
    assert _crossings(_like(tile[middle], LIVER)) == pytest.approx([30 * scale, 70 * scale], abs=1.0)
    assert _crossings(_like(tile[middle], TUMOR)) == pytest.approx([45 * scale, 55 * scale], abs=1.0)
    column = tile[:, round(40 * scale)]
    assert _crossings(_like(column, LIVER)) == pytest.approx([40 * scale, 80 * scale], abs=1.0)
    # Outlines, not fillings: what lies within stays visible.
    assert _like(tile[middle, round(50 * scale)], (127, 127, 127), 3)


def test_truth_is_dashed_in_white(tmp_path: Path) -> None:
    grid = _grid()
    truth = _labels(grid, (1, slice(30, 70), slice(40, 80)))
    tile = _first_tile(_sheet(tmp_path, Row("", "", _image(_tissue(grid), grid), _labels(grid), truth)))
    scale = tile.shape[1] / SIZE
    edge = _like(tile[round(42 * scale) : round(78 * scale), round(30 * scale)], WHITE)
    assert 0.3 < edge.mean() < 0.8
    assert np.count_nonzero(np.diff(edge)) >= 8
    assert not _like(tile, LIVER, 40).any()


def test_the_body_fills_the_tile_and_the_table_does_not_count(tmp_path: Path) -> None:
    grid = _grid()
    hu = np.full(grid.shape, AIR_HU, np.int16)
    hu[35:65, 40:60] = BRIGHT_HU
    hu[:, 95] = BRIGHT_HU
    sheet = _sheet(tmp_path, Row("", "", _image(hu, grid), _labels(grid)))
    white = (sheet.min(axis=2) > 127)[:, : sheet.shape[1] // TILES_PER_ROW]
    rows = np.flatnonzero(white.sum(axis=1) > 100)
    width, height = np.count_nonzero(white[rows[len(rows) // 4]]), len(rows)
    # 60 mm of body and 12 mm of air on either side.
    tile = (sheet.shape[1] - 10) / TILES_PER_ROW - 10
    assert width / tile == pytest.approx(60 / 84, abs=0.01)
    assert height / width == pytest.approx(20 / 30, abs=0.02)


def test_pixels_have_one_size_in_mm(tmp_path: Path) -> None:
    grid = _grid((100, 50, 5), (1.0, 2.0, 5.0))
    tile = _first_tile(_sheet(tmp_path, Row("", "", _image(_tissue(grid), grid), _labels(grid))))
    assert tile.shape[0] == pytest.approx(tile.shape[1], abs=2)


def test_what_is_marked_is_shown_even_outside_of_the_body(tmp_path: Path) -> None:
    grid = _grid()
    hu = np.full(grid.shape, AIR_HU, np.int16)
    hu[40:60, 40:60] = TISSUE_HU
    sheet = _sheet(tmp_path, Row("", "", _image(hu, grid), _labels(grid, (2, slice(90, 95), slice(45, 55)))))
    assert _like(sheet[: -sheet.shape[0] // 5], TUMOR).any()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Every text that is drawn, and how far from the left."""
    texts: list[tuple[str, float]] = []
    draw = ImageDraw.ImageDraw.text

    def record(self: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, *rest: Any, **named: Any) -> None:
        texts.append((text, xy[0]))
        draw(self, xy, text, *rest, **named)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    return texts


def test_right_is_on_the_left_and_heights_and_sizes_are_told(tmp_path: Path, written: list[tuple[str, float]]) -> None:
    grid = _grid()
    _sheet(tmp_path, Row("a title", "told below", _image(_tissue(grid), grid), _labels(grid)))
    assert max(x for text, x in written if text == "R") < min(x for text, x in written if text == "L")
    slices = [text for text, _ in written if text.startswith("slice")]
    # Five slices 5 mm apart around the origin.
    assert slices == [
        f"slice {k}/5   {height:+.0f} mm" for k, height in zip(range(1, 6), (-10, -5, 0, 5, 10), strict=True)
    ]
    names = {text for text, _ in written}
    assert {"a title", "told below", "liver", "liver tumor", "5 cm"} <= names
    assert "truth" not in names
    assert any("not a medical device" in name for name in names)


def test_the_slice_with_the_largest_lesion_is_among_those_shown(
    tmp_path: Path, written: list[tuple[str, float]]
) -> None:
    grid = _grid((SIZE, SIZE, 60))
    voxels = np.zeros(grid.shape, np.uint8)
    voxels[20:60, 20:60, 5:55] = 1
    voxels[30:33, 30:33, 10:20] = 2
    voxels[30:40, 30:40, 13] = 2
    _sheet(tmp_path, Row("", "", _image(_tissue(grid), grid), _image(voxels, grid, Intensity.LABEL)))
    shown = [int(text.split()[1].partition("/")[0]) - 1 for text, _ in written if text.startswith("slice")]
    assert 13 in shown
    assert len(shown) == TILES_PER_ROW
    assert min(shown) >= 5
    assert max(shown) < 55


def test_rows_lie_below_each_other_and_scans_of_few_slices_leave_room(tmp_path: Path) -> None:
    grid = _grid((SIZE, SIZE, 2))
    row = Row("", "", _image(_tissue(grid), grid), _labels(grid))
    one, two = _sheet(tmp_path, row), _sheet(tmp_path, row, row)
    assert one.shape[1] == two.shape[1]
    assert two.shape[0] > 1.5 * one.shape[0]


def test_no_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        write_contact_sheet([], LIVER_AND_TUMOR, tmp_path / "sheet.png")
    assert list(tmp_path.iterdir()) == []


def _crossings(line: NDArray[np.bool_]) -> list[float]:
    """Middles of the runs of pixels that are set, in pixels from the edge."""
    runs = np.split(np.flatnonzero(line), np.flatnonzero(np.diff(np.flatnonzero(line)) > 1) + 1)
    return [float(run.mean()) + 0.5 for run in runs]
