"""A label map beside its reference: names, nested regions, grids, lesions and their scores."""

import numpy as np
import pytest

from datasets.defects import DefectCode
from datasets.example import InstanceTruth
from datasets.image import Image, Intensity
from datasets.labels import LIVER_AND_TUMOR
from datasets.resampling import reorient
from pipelines.evaluation.masks import MaskRules, aligned, compare_instances, compare_masks
from pipelines.evaluation.regions import Naming, regions_of
from pipelines.evaluation.said import CaseRefused, Said
from pipelines.results import Finding, Location
from tests.pipelines.evaluation.cases_made import AFFINE, example, image_of, label_map, mask_truth

RULES = MaskRules(Naming(LIVER_AND_TUMOR, {}), tolerance=2.0)
OURS = {1: "liver", 2: "liver_tumor"}


def _compared(prediction: np.ndarray, reference: np.ndarray, **told: object):
    truth = mask_truth(reference)
    said = Said(image_of(prediction), OURS, **told)  # type: ignore[arg-type]
    return compare_masks(example("a", truth), truth, said, RULES)


def test_liver_is_liver_and_tumour_together() -> None:
    liver, tumor = regions_of(LIVER_AND_TUMOR)
    assert (liver.indices, liver.is_lesion) == ((1, 2), False)
    assert (tumor.indices, tumor.is_lesion) == ((2,), True)
    # A tumour that was missed is liver all the same.
    case = _compared(label_map(tumors=()), label_map())
    by_label = {record.label: record for record in case.masks}
    assert by_label["liver"].dice == 1.0
    assert by_label["liver_tumor"].dice == 0.0
    assert by_label["liver_tumor"].hd95 is None
    assert by_label["liver_tumor"].rvd == -1.0


def test_figures_of_a_liver_that_is_two_voxels_too_long() -> None:
    (liver, _) = _compared(label_map(14), label_map(12)).masks
    assert liver.dice == pytest.approx(2 * 12 / 26)
    assert liver.unit == "mm"
    assert liver.hd == pytest.approx(1.6)
    voxel_ml = 0.8 * 0.8 * 2.5 / 1000
    assert liver.reference_ml == pytest.approx(12 * 12 * 6 * voxel_ml)
    assert liver.predicted_ml == pytest.approx(14 * 12 * 6 * voxel_ml)
    assert liver.nsd == 1.0


def test_without_a_spacing_distances_are_in_pixels_and_there_are_no_volumes() -> None:
    truth = mask_truth(label_map())
    said = Said(Image(label_map(14)[np.newaxis], Intensity.LABEL), OURS)
    (liver, _) = compare_masks(example("a", truth), truth, said, RULES).masks
    assert (liver.unit, liver.hd, liver.predicted_ml) == ("px", pytest.approx(2.0), None)


def test_labels_that_the_dataset_does_not_know_are_not_compared() -> None:
    truth = mask_truth(label_map(), {1: "liver"})
    case = compare_masks(example("a", truth), truth, Said(image_of(label_map()), OURS), RULES)
    assert [record.label for record in case.masks] == ["liver"]
    strange = mask_truth(label_map(), {1: "spleen"})
    with pytest.raises(CaseRefused) as refusal:
        compare_masks(example("a", strange), strange, Said(image_of(label_map()), OURS), RULES)
    assert refusal.value.code is DefectCode.UNKNOWN_LABEL


def test_names_may_be_said_to_be_others() -> None:
    naming = Naming(LIVER_AND_TUMOR, {"cancer": "liver_tumor"})
    assert naming.values({0: "background", 1: "liver", 2: "cancer"}) == {1: 1, 2: 2}
    assert Naming(LIVER_AND_TUMOR, {}).strangers({0: "background", 1: "liver", 2: "cancer"}) == ("cancer",)


def test_predictions_of_others_mean_what_the_dataset_means() -> None:
    swapped = np.where(label_map() == 1, 2, np.where(label_map() == 2, 1, 0)).astype(np.uint8)
    truth = mask_truth(swapped, {1: "Liver tumors", 2: "liver"})
    case = compare_masks(example("a", truth), truth, Said(image_of(swapped)), RULES)
    assert [record.dice for record in case.masks] == [1.0, 1.0]
    assert case.masks[1].reference == 8


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PIR", "SAL"])
def test_a_reference_with_other_axes_is_turned_exactly(axes: str) -> None:
    turned = reorient(image_of(label_map()), axes)
    back, notes = aligned(turned, image_of(label_map()))
    assert np.array_equal(back.array[0], label_map())
    assert bool(notes) == (turned.grid.orientation != image_of(label_map()).grid.orientation)


def test_a_reference_elsewhere_is_refused_and_not_resampled() -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 0.4
    for other in (
        image_of(label_map(), moved),
        image_of(label_map()[1:]),
        image_of(label_map(), AFFINE * [1, 1, 2, 1]),
    ):
        with pytest.raises(CaseRefused) as refusal:
            aligned(other, image_of(label_map()))
        assert refusal.value.code is DefectCode.GEOMETRY_MISMATCH
    with pytest.raises(CaseRefused):
        aligned(image_of(label_map(), None), image_of(label_map()[1:]))


def _finding(centre: tuple[float, float, float], probability: float) -> Finding:
    place = image_of(label_map()).grid.points_mm(centre)
    location = Location(centroid_mm=tuple(float(v) for v in place), component=1)  # type: ignore[arg-type]
    return Finding(
        label="liver_tumor", probability=probability, threshold=0.5, positive=True, calibrated=False, location=location
    )


def test_lesions_have_the_scores_of_the_findings_at_their_centres() -> None:
    said = label_map(tumors=(4, 10))
    findings = (_finding((10.5, 6.5, 3.5), 0.6), _finding((4.5, 6.5, 3.5), 0.9))
    lesions = _compared(said, label_map(tumors=(4, 7)), findings=findings).masks[1].lesions
    assert lesions is not None
    assert (lesions.reference, lesions.predicted, lesions.found_by_overlap, lesions.right_by_iou) == (2, 2, 1, 1)
    assert lesions.found_scores == (0.9,)
    assert lesions.invented_scores == (0.6,)
    without = _compared(said, label_map()).masks[1].lesions
    assert without is not None
    assert without.found_scores is None
    elsewhere = _compared(label_map(), label_map(), findings=(_finding((15.0, 1.0, 1.0), 0.9),)).masks[1].lesions
    assert elsewhere is not None
    assert elsewhere.found_scores is None


def test_objects_one_by_one() -> None:
    numbers = np.zeros((10, 10, 1), np.uint16)
    numbers[1:4, 1:4], numbers[6:9, 6:9] = 1, 2
    found = np.where(numbers == 2, 0, numbers).astype(np.uint16)
    truth = InstanceTruth(lambda: Image(numbers[np.newaxis], Intensity.LABEL), "nucleus")
    sure = Image((found > 0).astype(np.uint8)[np.newaxis] * 255, Intensity.PROBABILITY)
    said = Said(instances=Image(found[np.newaxis], Intensity.LABEL), probability=sure)
    record = compare_instances(example("a", truth), truth, said).instances
    assert record is not None
    assert (record.matched, record.missed, record.invented) == (1, 1, 0)
    assert record.panoptic_quality == pytest.approx(1 / 1.5)
    assert record.foreground_iou == pytest.approx(0.5)
    assert record.aggregated_jaccard == pytest.approx(0.5)
    assert record.two_class_iou == pytest.approx(0.5 * (0.5 + 82 / 91))
    with pytest.raises(CaseRefused, match="numbered objects"):
        compare_instances(example("a", truth), truth, Said())
    mask = mask_truth(label_map())
    with pytest.raises(CaseRefused, match="label map"):
        compare_masks(example("a", mask), mask, Said(), RULES)
