"""Repaired with a report, or refused with a coded reason, never silently wrong: one expected outcome per torture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.codes import RefusalCode, RepairCode
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.image import Image
from datasets.io.dicom import DicomFindings, read_studies
from datasets.io.dicom.pixels import AIR_HU
from datasets.study import choose_series
from tests.datasets import scene
from tests.datasets.ct_files import outside_circle, write
from tests.datasets.scene import Acquisition
from tests.datasets.torture import CASES

COS = float(np.cos(np.radians(15)))
SLACK = 1e-5


@dataclass(frozen=True)
class Read:
    """The chosen series is read, on the grid of `truth` and with its Hounsfield units.

    Attributes:
        truth: What was scanned.
        repairs: Codes told, all of them.
        gap_mm: Distance between slices along the normal, where the frames had to be resampled.
        more_rows: Rows that a tilted stack needs beyond its frames', so that no pixel is lost.
        shift_rows: Where the first row lies in the first frame.
        slices: Number of slices where it is not that of frames.
        corners_hu: What stands outside the circle inscribed in the frames, where that is padding.
        studies: Number of studies found.
    """

    truth: Acquisition
    repairs: frozenset[str] = frozenset()
    gap_mm: float | None = None
    more_rows: int = 0
    shift_rows: int = 0
    slices: int | None = None
    corners_hu: int | None = None
    studies: int = 1

    @property
    def grid(self) -> Grid:
        """Where voxels must be."""
        affine = self.truth.affine(self.gap_mm, (0, self.shift_rows, 0))
        return Grid(self.truth.shape(self.more_rows, self.slices), affine)

    @property
    def hu(self) -> NDArray[np.int64]:
        """What must stand in each voxel (column, row, slice) of frames that need no resampling."""
        hu = scene.organs_hu(points_of(self.grid))
        if self.corners_hu is not None:
            hu[outside_circle(self.grid.shape[:2])] = self.corners_hu
        return hu


@dataclass(frozen=True)
class Refused:
    """The input is refused."""

    code: RefusalCode


def _read(truth: Acquisition, *repairs: RepairCode, **geometry: float) -> Read:
    return Read(truth, frozenset(repairs), **geometry)  # type: ignore[arg-type]


R, X = RepairCode, RefusalCode
UPWARDS = scene.PLAIN
# Eleven steps of 4 mm slide by 11 * 4 * sin 15 = 11.4 mm: 3.8 pixels of 3 mm, so four more rows hold all of them.
TILT = {"gap_mm": 4 * COS, "more_rows": 4}
TILT_BACK = {"gap_mm": 4 * COS, "more_rows": 4, "shift_rows": -4}
OUTCOMES: dict[str, Read | Refused] = {
    "plain": _read(scene.PLAIN),
    "descending": _read(UPWARDS),
    "sagittal": _read(scene.SAGITTAL),
    "coronal": _read(scene.CORONAL),
    "oblique": _read(scene.OBLIQUE),
    "non_square_pixels": _read(scene.FLAT_PIXELS),
    "jitter": _read(scene.PLAIN),
    "uneven": _read(scene.UNEVEN, R.UNEVEN_SPACING_RESAMPLED, gap_mm=4, slices=12),
    "coarse_zone": _read(scene.COARSE_ZONE, R.UNEVEN_SPACING_RESAMPLED, gap_mm=4, slices=13),
    "tilt": _read(scene.TILTED, R.GANTRY_TILT_RESAMPLED, **TILT),
    "tilt_negative": _read(scene.TILTED_BACK, R.GANTRY_TILT_RESAMPLED, **TILT_BACK),
    "tilt_uneven": _read(scene.TILTED_UNEVEN, R.GANTRY_TILT_RESAMPLED, R.UNEVEN_SPACING_RESAMPLED, **TILT, slices=12),
    "unsigned": _read(scene.PLAIN),
    "unsigned_padding": _read(scene.PLAIN, R.PADDING_REPLACED, corners_hu=AIR_HU),
    "signed_padding": _read(scene.PLAIN, R.PADDING_REPLACED, corners_hu=AIR_HU),
    "half_slope": _read(scene.PLAIN),
    "rescale_per_slice": _read(scene.PLAIN, R.RESCALE_PER_SLICE),
    "twelve_bits_in_sixteen": _read(scene.PLAIN),
    "monochrome1": _read(scene.PLAIN, R.MONOCHROME1_DISPLAY_ONLY),
    "missing_rescale": _read(scene.PLAIN, R.RESCALE_ASSUMED),
    "shuffled": _read(scene.PLAIN),
    "mixed_representation": _read(scene.PLAIN, R.RESCALE_PER_SLICE),
    "signed_twelve_bits": _read(scene.PLAIN),
    "reversed_numbers": _read(scene.PLAIN),
    "mixed_numbers": _read(scene.PLAIN, R.SLICES_REORDERED),
    "no_instance_numbers": _read(scene.PLAIN),
    "lying_thickness": _read(scene.PLAIN, R.SPACING_FROM_POSITIONS),
    "lying_tilt": _read(scene.PLAIN),
    "text_beside": _read(scene.PLAIN),
    "nested_folders": _read(scene.PLAIN),
    "missing_slice": Refused(X.MISSING_SLICE),
    "huge_gap": Refused(X.MISSING_SLICE),
    "foreign_uid_in_one": Refused(X.MISSING_SLICE),
    "two_missing_slices": Refused(X.MISSING_SLICE),
    "foreign_frame_of_reference_in_one": Refused(X.MISSING_SLICE),
    "series_uid_per_slice": Refused(X.SINGLE_SLICE),
    "one_uid_for_all": Refused(X.CONFLICTING_DUPLICATE),
    "one_lies_beside": Refused(X.INCONSISTENT_FRAMES),
    "no_two_parallel": Refused(X.MIXED_ORIENTATIONS),
    "zero_spacing": Refused(X.NO_SPACING),
    "skewed_orientation": Refused(X.MISSING_ORIENTATION),
    "decimal_commas": Refused(X.MISSING_ORIENTATION),
    "more_rows_than_pixels": Refused(X.TRUNCATED_FILE),
    "fewer_rows_than_pixels": Refused(X.INCONSISTENT_FRAMES),
    "more_frames_than_places": Refused(X.INCONSISTENT_FRAMES),
    "zero_slope": Refused(X.EMPTY_IMAGE),
    "unreadable_slope": Refused(X.NOT_FINITE),
    "nothing_but_air": Refused(X.EMPTY_IMAGE),
    "colours": Refused(X.NOT_AN_IMAGE_OBJECT),
    "video": Refused(X.UNSUPPORTED_TRANSFER_SYNTAX),
    "only_localizer": Refused(X.SINGLE_SLICE),
    "magnetic_resonance": Refused(X.WRONG_MODALITY),
    "single_slice": Refused(X.SINGLE_SLICE),
    "same_file_twice": _read(scene.PLAIN, R.DUPLICATE_SLICE_DROPPED),
    "duplicate_slice": _read(scene.PLAIN, R.DUPLICATE_SLICE_DROPPED),
    "conflicting_duplicate": Refused(X.CONFLICTING_DUPLICATE),
    "enhanced": _read(scene.PLAIN),
    "enhanced_oblique": _read(scene.OBLIQUE),
    "enhanced_in_two_files": _read(scene.PLAIN),
    "enhanced_shuffled": _read(scene.PLAIN, R.SLICES_REORDERED),
    "enhanced_missing_frame": Refused(X.MISSING_SLICE),
    "localizer": _read(scene.PLAIN, R.LOCALIZER_DROPPED),
    "unnamed_localizer": _read(scene.PLAIN, R.SERIES_SPLIT, R.SERIES_CHOSEN),
    "two_series": _read(scene.PLAIN, R.SERIES_CHOSEN),
    "two_studies": _read(scene.PLAIN, R.STUDIES_SPLIT, studies=2),
    "two_orientations": _read(scene.PLAIN, R.SERIES_SPLIT, R.SERIES_CHOSEN),
    "another_size": Refused(X.MISSING_SLICE),
    "sr_and_rtstruct": _read(scene.PLAIN, R.NON_IMAGE_OBJECTS_IGNORED),
    "dicomdir_beside": _read(scene.PLAIN, R.NON_IMAGE_OBJECTS_IGNORED),
    "only_sr": Refused(X.NOT_AN_IMAGE_OBJECT),
    "parametric_map": Refused(X.NOT_AN_IMAGE_OBJECT),
    "missing_orientation": Refused(X.MISSING_ORIENTATION),
    "missing_position": Refused(X.MISSING_ORIENTATION),
    "missing_spacing": Refused(X.NO_SPACING),
    "blank_identifiers": _read(scene.PLAIN, R.IDENTIFIERS_DERIVED),
    "no_pixels": Refused(X.NO_PIXEL_DATA),
    "nan_in_float": Refused(X.NOT_FINITE),
    "truncated": Refused(X.TRUNCATED_FILE),
    "truncated_header": Refused(X.MISSING_SLICE),
    "truncated_j2k": Refused(X.TRUNCATED_FILE),
    "only_text": Refused(X.UNREADABLE_FILE),
    # What a broken file belongs to is unknown: it is told as a refused study of its own.
    "text_named_dcm": _read(scene.PLAIN, studies=2),
    "empty_file": _read(scene.PLAIN, studies=2),
    "j2k": _read(scene.PLAIN),
    "jpeg_ls": _read(scene.PLAIN),
    "jpeg_lossless": _read(scene.PLAIN),
    "rle": _read(scene.PLAIN),
    "deflated": _read(scene.PLAIN),
    "implicit": _read(scene.PLAIN),
    "big_endian": _read(scene.PLAIN),
}
# The same frames, seen in a field that grows evenly: every voxel between the frames has one right value.
RAMPS = {name: OUTCOMES[name] for name in ("uneven", "coarse_zone", "tilt", "tilt_negative", "tilt_uneven")}


@dataclass(frozen=True)
class Outcome:
    """What came of a folder."""

    findings: DicomFindings
    image: Image
    repairs: frozenset[str]


def open_folder(files: Sequence[Path]) -> Outcome:
    """Read files, and the series that is scored; of several studies the one with most images."""
    findings = read_studies(files, "folder")
    study = max(findings.studies, key=lambda study: max((series.images for series in study.series), default=0))
    chosen, told = choose_series(study, ("CT",), min_images=2)
    loaded = chosen.load()
    assert chosen.grid is not None
    assert chosen.grid.matches(loaded.image.grid, tolerance_mm=1e-6), "headers alone must tell the grid"
    repairs = {repair.code for repair in (*study.repairs, *chosen.repairs, *loaded.repairs, *([told] if told else []))}
    return Outcome(findings, loaded.image, frozenset(repairs))


def test_each_torture_has_an_outcome() -> None:
    assert {*OUTCOMES, *(f"{name}_ramp" for name in RAMPS)} == set(CASES)


@pytest.mark.parametrize("name", [name for name, outcome in OUTCOMES.items() if isinstance(outcome, Read)])
def test_what_can_be_read_is_read_right(name: str, tmp_path: Path) -> None:
    expected = OUTCOMES[name]
    assert isinstance(expected, Read)
    outcome = open_folder(write(CASES[name](), tmp_path))
    image = outcome.image
    assert len(outcome.findings.studies) == expected.studies
    assert image.shape == expected.grid.shape
    # Table feeds that waver by a thousandth of a millimetre have a mean that does too.
    assert image.affine == pytest.approx(expected.grid.affine, abs=1e-3 if name != "jitter" else 2e-3)
    assert outcome.repairs == expected.repairs
    if name in RAMPS:
        _assert_organs(image, expected)
    else:
        assert np.array_equal(image.array[0], expected.hu)


@pytest.mark.parametrize("name", list(RAMPS))
def test_what_lies_between_frames_is_interpolated_right(name: str, tmp_path: Path) -> None:
    expected = RAMPS[name]
    assert isinstance(expected, Read)
    image = open_folder(write(CASES[f"{name}_ramp"](), tmp_path)).image
    points = points_of(expected.grid)
    seen = _between_frames(expected.truth, points)
    assert seen.mean() > 0.8
    # Half a unit is lost where a frame is stored, half where a voxel is.
    assert np.abs(image.array[0] - points @ scene.RAMP_HU_PER_MM)[seen].max() <= 1.0 + 1e-6


@pytest.mark.parametrize("name", [name for name, outcome in OUTCOMES.items() if isinstance(outcome, Refused)])
def test_what_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    expected = OUTCOMES[name]
    assert isinstance(expected, Refused)
    with pytest.raises(InputRefused) as refused:
        open_folder(write(CASES[name](), tmp_path))
    assert refused.value.code == expected.code
    assert refused.value.advice
    assert "Phantom" not in str(refused.value), "no patient in messages"


def points_of(grid: Grid) -> NDArray[np.float64]:
    """World points of all voxels, (column, row, slice, 3)."""
    return grid.points_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


def _assert_organs(image: Image, expected: Read) -> None:
    # A voxel's neighbours in the frames lie within a pixel's diagonal and a step of it: 4.2 + 4 mm.
    for inside, (_, _, hu) in zip(scene.deep_in_organ(points_of(expected.grid), 8.3), scene.ORGANS, strict=True):
        if inside.any():
            assert abs(image.array[0][inside].mean() - hu) <= 1.0
    assert sum(inside.any() for inside in scene.deep_in_organ(points_of(expected.grid), 8.3)) >= 3


def _between_frames(truth: Acquisition, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Points that have pixels all around in the frame below and in the one above."""
    away = [points * (-1.0, -1.0, 1.0) - truth.position_mm(k) for k in range(len(truth.offsets_mm))]
    heights = np.stack([vector @ truth.normal for vector in away])
    covered = np.stack([_is_on_frame(truth, vector) for vector in away])
    below = np.where(heights >= -SLACK, heights, np.inf).argmin(axis=0)
    above = np.where(heights <= SLACK, -heights, np.inf).argmin(axis=0)
    both = np.take_along_axis(covered, below[None], 0) & np.take_along_axis(covered, above[None], 0)
    return np.asarray(both[0] & (heights >= -SLACK).any(axis=0) & (heights <= SLACK).any(axis=0))


def _is_on_frame(truth: Acquisition, away_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    column = away_mm @ np.asarray(truth.along_row) / truth.column_gap_mm
    row = away_mm @ np.asarray(truth.along_column) / truth.row_gap_mm
    return np.asarray(
        (column >= -SLACK) & (column <= truth.columns - 1 + SLACK) & (row >= -SLACK) & (row <= truth.rows - 1 + SLACK)
    )
