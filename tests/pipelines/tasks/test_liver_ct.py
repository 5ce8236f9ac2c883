"""Liver CT with a network that cannot err, on ellipsoids: what comes out is the formula."""

import itertools

import numpy as np
import pytest

from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.resampling import reorient
from pipelines.metrics.dice import dice
from tests.pipelines.liver_scene import (
    BALL,
    HEALTHY,
    LIVER,
    LIVER_HU,
    NO_LIVER,
    OVAL,
    OWN_GRID,
    PATIENT,
    TUMOR_HU,
    Constant,
    Ellipsoid,
    Said,
    field_of_view,
    pipeline,
    scan,
    score,
    truth,
)

COARSE = field_of_view((3.0, 3.0, 4.0))
ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(("LR", "PA", "SI")) for letters in itertools.product(*order)
]


def stored_as(image: Image, orientation: str) -> Image:
    """The same voxels in the same places, laid out in memory as a reader of such a file would."""
    turned = reorient(image, orientation)
    return Image.from_slices(
        np.ascontiguousarray(turned.array[0].transpose(2, 1, 0)), Intensity.HOUNSFIELD, turned.affine
    )


@pytest.mark.parametrize(
    "grid",
    [
        pytest.param(field_of_view(), id="axial"),
        pytest.param(field_of_view((1.2, 1.7, 2.5), turn_deg=(30, 20, 10)), id="oblique and oblong"),
    ],
)
def test_labels_on_the_scans_own_grid_are_the_truth(grid: Grid) -> None:
    result = score(scan(grid), OWN_GRID)
    np.testing.assert_array_equal(result.labels.array[0], truth(grid))
    assert result.labels.grid.matches(grid)
    assert result.labels.array.dtype == np.uint8
    assert result.grid.shape == grid.shape
    assert result.grid.spacing_mm == pytest.approx(grid.spacing_mm)
    np.testing.assert_allclose(result.grid.affine, grid.affine)


@pytest.mark.parametrize(
    ("spacing_mm", "turn_deg"),
    [((1.0, 1.0, 2.0), (0, 0, 0)), ((2.2, 1.6, 4.0), (0, 0, 0)), ((1.8, 1.8, 2.5), (25, -15, 40))],
)
def test_labels_come_back_from_the_networks_grid(spacing_mm, turn_deg) -> None:
    grid = field_of_view(spacing_mm, turn_deg=turn_deg)
    result = score(scan(grid), "spacing_mm=[1.5, 1.5, 3.0]")
    assert result.labels.grid.matches(grid)
    found, true = result.labels.array[0], truth(grid)
    assert dice(found > 0, true > 0) > 0.98
    assert dice(found == 2, true == 2) > 0.90
    said = Said(result)
    assert said.of_study("liver", "volume") == pytest.approx(LIVER.volume_ml, rel=0.03)
    assert said.of_study("liver_tumor", "count") == 2.0


@pytest.mark.parametrize("turn_deg", [(0, 0, 0), (20, 30, 0)])
def test_measurements_are_the_formulas(turn_deg) -> None:
    grid = field_of_view((1.2, 1.2, 1.6), turn_deg=turn_deg)
    said = Said(score(scan(grid), OWN_GRID))
    assert said.of_study("liver", "volume") == pytest.approx(LIVER.volume_ml, rel=0.01)
    assert said.of_study("liver", "mean_attenuation") == LIVER_HU
    assert said.of_study("liver_tumor", "burden") == pytest.approx(OVAL.volume_ml + BALL.volume_ml, rel=0.02)
    assert said.of_study("liver_tumor", "count") == 2.0
    for number, tumor in ((1, OVAL), (2, BALL)):
        finding = said.result.findings[number - 1]
        assert (finding.label, finding.positive, finding.location.component) == ("liver_tumor", True, number)
        assert finding.probability == pytest.approx(1.0, abs=0.01)
        assert finding.location.centroid_mm == pytest.approx(tumor.centre_mm, abs=0.25)
        assert said.of_tumor(number)["volume"] == pytest.approx(tumor.volume_ml, rel=0.03)
        assert said.of_tumor(number)["mean_attenuation"] == TUMOR_HU
    # A ball has its diameter in any plane.
    assert said.of_tumor(2)["longest_axial_diameter"] == pytest.approx(12.0, abs=1.2)
    assert said.of_tumor(2)["perpendicular_diameter"] == pytest.approx(12.0, abs=1.2)
    if turn_deg == (0, 0, 0):
        # Turned about the patient's long axis, the oval shows its axes in the axial plane.
        assert said.of_tumor(1)["longest_axial_diameter"] == pytest.approx(20.0, abs=1.2)
        assert said.of_tumor(1)["perpendicular_diameter"] == pytest.approx(12.0, abs=1.2)


@pytest.mark.parametrize("spacing", [OWN_GRID, "spacing_mm=[3.5, 2.5, 3.0]"])
def test_however_the_patient_is_stored_the_result_is_the_same(spacing: str) -> None:
    image = scan(COARSE)
    expected = score(image, spacing)
    chosen = ORIENTATIONS if spacing == OWN_GRID else ORIENTATIONS[::7]
    assert len(ORIENTATIONS) == 48
    for orientation in chosen:
        stored = stored_as(image, orientation)
        result = score(stored, spacing)
        assert result.labels.grid.matches(stored.grid), orientation
        back = reorient(result.labels, "LPS")
        np.testing.assert_array_equal(back.array, expected.labels.array, orientation)
        assert result.quality == expected.quality, orientation
        assert _numbers(result) == pytest.approx(_numbers(expected), rel=1e-9), orientation


def _numbers(result) -> list[float]:
    numbers = [quantity.value for quantity in result.quantities]
    for finding in result.findings:
        numbers += [finding.probability, *finding.location.centroid_mm, *(q.value for q in finding.quantities)]
    return numbers


@pytest.mark.parametrize("slices", [2, 3, 7, 16])
@pytest.mark.parametrize("spacing_mm", ["[null, null, null]", "[1.5, 1.5, 3.0]", "[0.7, 0.7, 0.4]"])
def test_every_voxel_is_predicted_to_the_last_row_of_the_first_and_last_slice(slices: int, spacing_mm: str) -> None:
    grid = field_of_view((1.0, 1.0, 1.0), (17, 13, slices))
    everywhere = Image(np.full((1, *grid.shape), LIVER_HU, dtype=np.int16), Intensity.HOUNSFIELD, grid.affine)
    assert (score(everywhere, f"spacing_mm={spacing_mm}").labels.array == 1).all()


def test_two_equal_halves_of_a_probability_are_still_liver() -> None:
    # p(liver) = p(tumour) = 0.45: each alone is below one half, together they are nine tenths.
    result = score(scan(COARSE, NO_LIVER), OWN_GRID, network=Constant(0.1, 0.45, 0.45))
    np.testing.assert_array_equal(result.labels.array[0] == 1, scan(COARSE, NO_LIVER).array[0] == 0)
    (finding,) = result.findings
    assert (finding.positive, finding.threshold) == (False, 0.5)
    assert finding.probability == pytest.approx(0.45, abs=1 / 255)


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        (("tumor_threshold=0.4",), 2),
        (("tumor_threshold=0.46",), 1),
        (("liver_threshold=0.89",), 1),
        (("liver_threshold=0.91",), 0),
        (("liver_threshold=0.91", "tumor_threshold=0.4"), 0),
    ],
)
def test_thresholds_are_honoured(settings: tuple[str, ...], label: int) -> None:
    result = score(scan(COARSE, NO_LIVER), OWN_GRID, *settings, network=Constant(0.1, 0.45, 0.45))
    assert set(np.unique(result.labels.array)) == {0, label}


def test_small_regions_are_liver_and_no_tumour() -> None:
    result = score(scan(field_of_view()), OWN_GRID, "min_tumor_ml=1.0")
    assert OVAL.volume_ml > 1.0 > BALL.volume_ml
    expected = truth(field_of_view(), (*HEALTHY, OVAL))
    np.testing.assert_array_equal(result.labels.array[0], expected)
    assert len(result.findings) == 1


def test_a_region_a_little_smaller_than_the_smallest_tumour_is_none() -> None:
    # Voxels of 0.064 ml: one is less than 0.09 ml, two are more.
    grid = field_of_view((4.0, 4.0, 4.0))
    hu = np.array(scan(grid, HEALTHY).array)
    centre = np.rint(grid.indices(LIVER.centre_mm)).astype(int)
    hu[(0, *centre)] = TUMOR_HU
    one = score(Image(hu, Intensity.HOUNSFIELD, grid.affine), OWN_GRID, "min_tumor_ml=0.09")
    hu[(0, *(centre + (1, 0, 0)))] = TUMOR_HU
    two = score(Image(hu, Intensity.HOUNSFIELD, grid.affine), OWN_GRID, "min_tumor_ml=0.09")
    assert Said(one).of_study("liver_tumor", "count") == 0.0
    assert Said(two).of_study("liver_tumor", "burden") == pytest.approx(0.128)


def test_preprocessing_clips_and_subtracts_as_the_paper_does() -> None:
    grid = field_of_view((1.0, 1.0, 1.0), (6, 1, 1))
    hu = np.array([-1000, -200, 0, 48, 250, 3000]).reshape(1, 6, 1, 1)
    expected = np.array([-248.0, -248.0, -48.0, 0.0, 202.0, 202.0])
    task = pipeline(OWN_GRID).task
    for dtype in (np.int16, np.int32, np.float32):
        values = hu.astype(dtype)
        before = values.copy()
        image = Image(values, Intensity.HOUNSFIELD, grid.affine)
        prepared = task.preprocess(image)
        assert prepared.array.dtype == np.float32
        # Scaled in float32, whose steps at 250 are 1.5e-5.
        np.testing.assert_allclose(prepared.array.ravel(), expected, atol=5e-5)
        np.testing.assert_array_equal(values, before)
        assert prepared.grid.matches(grid)


def test_preprocessing_never_writes_into_what_was_read() -> None:
    for dtype in (np.int16, np.float32):
        image = scan(COARSE)
        image = image.like(np.asarray(image.array, dtype=dtype))
        before = image.array.copy()
        for spacing in (OWN_GRID, "spacing_mm=[2.0, 2.0, 3.0]"):
            score(image, spacing)
        np.testing.assert_array_equal(image.array, before)


def test_the_tumour_of_another_organ_is_not_the_livers() -> None:
    elsewhere = Ellipsoid((-42, 0, 0), (9, 9, 9), TUMOR_HU)
    grid = field_of_view()
    result = score(scan(grid, (*PATIENT, elsewhere)), OWN_GRID)
    np.testing.assert_array_equal(result.labels.array[0], truth(grid))
    assert Said(result).of_study("liver_tumor", "count") == 2.0


def test_only_the_largest_piece_is_the_liver_and_the_loss_is_told() -> None:
    # A piece as large as a seventh of the liver, apart from it, with a tumour of its own.
    piece, inside = Ellipsoid((-40, 0, 0), (16, 20, 20), LIVER_HU), Ellipsoid((-44, 0, 0), (5, 5, 5), TUMOR_HU)
    grid = field_of_view()
    said = Said(score(scan(grid, (*HEALTHY, piece, inside)), OWN_GRID))
    np.testing.assert_array_equal(said.result.labels.array[0], truth(grid, HEALTHY))
    (finding,) = said.result.findings
    assert (finding.positive, finding.probability) == (False, pytest.approx(0.0, abs=0.01))
    (told,) = [flag for flag in said.result.quality if flag.code == "fragments_dropped"]
    share = piece.volume_ml / (piece.volume_ml + LIVER.volume_ml)
    assert f"{share:.0%}" in told.message


def test_cavities_are_liver_and_bays_are_not() -> None:
    cavity, bay = Ellipsoid((20, 5, 0), (4, 5, 3), 0), Ellipsoid((12, -22, 2), (6, 7, 6), 0)
    grid = field_of_view()
    result = score(scan(grid, (*HEALTHY, cavity, bay)), OWN_GRID)
    np.testing.assert_array_equal(result.labels.array[0], truth(grid, (*HEALTHY, bay)))


def test_nothing_there_is_a_negative_finding_and_a_warning() -> None:
    grid = field_of_view((3.0, 3.0, 3.0))
    air = Image(np.full((1, *grid.shape), -1000, np.int16), Intensity.HOUNSFIELD, grid.affine)
    for image in (scan(grid, NO_LIVER), air):
        for spacing in (OWN_GRID, "spacing_mm=[2.0, 2.0, 2.0]"):
            said = Said(score(image, spacing))
            assert not said.result.labels.array.any()
            assert "empty_result" in said.flags
            (finding,) = said.result.findings
            assert (finding.positive, finding.location, finding.quantities) == (False, None, ())
            assert (said.of_study("liver", "volume"), said.of_study("liver", "mean_attenuation")) == (0.0, None)
            assert (said.of_study("liver_tumor", "burden"), said.of_study("liver_tumor", "count")) == (0.0, 0.0)


def test_a_whole_liver_in_air_and_bone_needs_no_warning() -> None:
    assert Said(score(scan(field_of_view()), OWN_GRID)).flags == ()


@pytest.mark.parametrize(
    ("first", "last", "side"),
    [((0, 0, 20), (88, 75, 42), "low"), ((0, 0, 0), (88, 75, 30), "high"), ((0, 0, 0), (40, 75, 42), "left")],
)
@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SPL"])
def test_a_liver_that_is_cut_off_is_told_with_the_side(first, last, side: str, orientation: str) -> None:
    whole = scan(field_of_view())
    assert whole.shape == (88, 75, 42)
    affine = whole.affine.copy()
    affine[:3, 3] = whole.grid.points_mm(first)
    kept = tuple(slice(*ends) for ends in zip(first, last, strict=True))
    image = Image(whole.array[(slice(None), *kept)], whole.intensity, affine)
    result = score(reorient(image, orientation), OWN_GRID)
    (told,) = [flag for flag in result.quality if flag.code == "touches_border"]
    assert f"the {side} edge" in told.message


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        pytest.param(scan(field_of_view((2.0, 2.0, 2.0))), "pixels of 2.00 mm", id="pixels"),
        pytest.param(scan(field_of_view((1.5, 1.5, 7.0))), "slices 7.00 mm apart", id="slices"),
        pytest.param(scan(field_of_view(), (Ellipsoid((0, 0, 0), (999, 999, 999), 0),)), "from 0 to 0", id="values"),
    ],
)
def test_what_the_weights_never_saw_is_told(image: Image, seen: str) -> None:
    (told,) = [flag for flag in score(image, OWN_GRID).quality if flag.code == "outside_training_range"]
    assert seen in told.message


def test_skipped_air_is_told_and_changes_nothing() -> None:
    grid = field_of_view((3.0, 3.0, 4.0), (132, 112, 160))
    image = scan(grid)
    empty = int((image.array[0] == -1000).all(axis=(0, 1)).sum())
    skipping, asking = score(image, OWN_GRID), score(image, OWN_GRID, "skip_air=false")
    (told,) = [flag for flag in skipping.quality if flag.code == "air_skipped"]
    assert empty > 5
    assert told.message.startswith(f"{empty} of {grid.shape[2]} windows")
    assert "air_skipped" not in Said(asking).flags
    np.testing.assert_array_equal(skipping.labels.array, asking.labels.array)


def test_without_a_spacing_nothing_is_measured() -> None:
    with pytest.raises(Exception, match="a spacing in mm") as caught:
        score(Image(np.zeros((1, 4, 4, 4), np.int16), Intensity.HOUNSFIELD), OWN_GRID)
    assert caught.value.code == "no_spacing"
