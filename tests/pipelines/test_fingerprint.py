"""Fingerprints: what formulas say of small sets, whatever cases are called and however they lie."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from datasets.errors import ConfigError
from datasets.example import InstanceTruth
from datasets.image import Image, Intensity
from datasets.resampling import reorient
from pipelines.fingerprint import Fingerprint, fingerprint
from pipelines.task import load_task
from tests.pipelines.example_sets import _same, dataset, example, film, findings, pneumonia, upright, volume

LIVER = load_task("liver_ct")


def _ball(seed: int, low: float = 50.0, high: float = 150.0) -> tuple[np.ndarray, np.ndarray]:
    """Uniform values in a labelled block of 10 x 12 x 14 inside a frame of zeros, 1 of its 14 layers a tumour."""
    values, labels = np.zeros((20, 22, 24), np.float32), np.zeros((20, 22, 24), np.uint8)
    block = (slice(5, 15), slice(5, 17), slice(5, 19))
    values[block] = np.random.default_rng(seed).uniform(low, high, (10, 12, 14))
    labels[block] = 1
    labels[5:15, 5:17, 5] = 2
    return values, labels


def _seen(*cases: object) -> Fingerprint:
    return fingerprint(dataset(*cases), LIVER)  # type: ignore[arg-type]


def test_a_case_is_cropped_to_what_is_not_zero() -> None:
    (case,) = _seen(volume("a", *_ball(0), spacing_mm=(0.7, 0.8, 3.0))).cases
    assert case.shape == (14, 12, 10), "(D, H, W)"
    assert case.spacing_mm == (3.0, 0.8, 0.7)
    assert case.kept == pytest.approx(10 * 12 * 14 / (20 * 22 * 24), abs=1e-6)


def test_intensities_are_those_of_a_uniform_distribution() -> None:
    (seen,) = _seen(*(volume(str(seed), *_ball(seed)) for seed in range(4))).intensities
    assert seen.mean == pytest.approx(100.0, abs=0.5)
    assert seen.std == pytest.approx(100.0 / np.sqrt(12.0), abs=0.3)
    assert (seen.percentile_0_5, seen.percentile_99_5) == (pytest.approx(50.5, abs=0.2), pytest.approx(149.5, abs=0.2))
    assert 50.0 <= seen.minimum < seen.median < seen.maximum <= 150.0


def test_a_small_case_counts_as_much_as_a_large_one() -> None:
    large, small = np.full((40, 40, 40), 10.0, np.float32), np.full((4, 4, 4), 30.0, np.float32)
    cases = [volume(name, values, np.ones(values.shape)) for name, values in (("large", large), ("small", small))]
    (seen,) = _seen(*cases).intensities
    assert seen.mean == pytest.approx(20.0, abs=1e-6)


def test_labels_are_counted_and_unknown_ones_are_background() -> None:
    values, labels = _ball(0)
    labels[5:15, 5:17, 18] = 7
    values[labels == 7] = 5000.0
    seen = _seen(volume("a", values, labels, names={1: "Liver", 2: "liver tumors", 7: "metal"}))
    assert seen.labels == {"liver": pytest.approx(12 / 14), "liver_tumor": pytest.approx(1 / 14)}
    assert seen.cases_with == {"liver": 1, "liver_tumor": 1}
    assert seen.intensities[0].maximum < 151.0


def test_the_hash_is_of_the_data_not_of_names_or_order() -> None:
    first, second = _ball(1), _ball(2)
    one = _seen(volume("a", *first), volume("b", *second))
    other = fingerprint(dataset(volume("z", *first), volume("c", *second), name="a set"), LIVER)
    assert one == other.model_copy(update={"cases": one.cases})
    assert sorted(map(str, one.cases)) == sorted(map(str, other.cases))


@pytest.mark.parametrize("change", ["value", "label", "spacing", "meaning"])
def test_the_hash_changes_with_anything_true(change: str) -> None:
    values, labels = _ball(1)
    before = _seen(volume("a", values, labels)).data_sha256
    spacing, names = (1.0, 1.0, 1.0), {1: "liver", 2: "liver_tumor"}
    if change == "value":
        values[7, 7, 7] += 0.01
    elif change == "label":
        labels[7, 7, 7] = 2
    elif change == "spacing":
        spacing = (1.0, 1.0, 1.001)
    else:
        names = {1: "liver_tumor", 2: "liver"}
    assert _seen(volume("a", values, labels, spacing, names)).data_sha256 != before


def test_how_voxels_are_stored_does_not_matter() -> None:
    values, labels = _ball(1)
    whole = np.rint(values)
    affine = upright((1.0, 2.0, 3.0))
    one = example(
        "a", Image(whole[np.newaxis], Intensity.HOUNSFIELD, affine), volume("a", whole, labels, (1, 2, 3)).truth
    )
    turned = reorient(Image(whole[np.newaxis].astype(np.int16), Intensity.HOUNSFIELD, affine), "RAS")
    assert _seen(one) == _seen(replace(one, study=example("a", turned, one.truth).study))


def test_pictures_have_sizes_and_no_spacing() -> None:
    rng = np.random.default_rng(0)
    films = [
        film(str(n), rng.integers(1, 255, (30, 40), dtype=np.uint8), pneumonia(n < 3), patient=f"p{n // 2}")
        for n in range(4)
    ]
    seen = fingerprint(dataset(*films), load_task("chest_pneumonia"))
    assert seen.is_flat
    assert [case.shape for case in seen.cases] == [(1, 30, 40)] * 4
    assert [case.spacing_mm for case in seen.cases] == [None] * 4
    assert seen.labels == {"normal": 0.25, "pneumonia": 0.75}
    assert seen.patients == 2
    assert seen.intensities[0].mean == pytest.approx(127.5, abs=2.0), "all pixels: nothing is drawn around"


def test_findings_that_are_unknown_count_neither_way() -> None:
    pixels = np.full((8, 8), 9, np.uint8)
    films = [film("a", pixels, findings(mass=1.0)), film("b", pixels, findings(mass=0.0, nodule=1.0))]
    assert fingerprint(dataset(*films), load_task("chest_xray")).cases_with == {"mass": 1, "nodule": 1}


def test_objects_are_one_sort() -> None:
    picture = Image(np.full((3, 6, 5, 1), 9, np.uint8), Intensity.COLOUR)
    numbers = np.zeros((1, 6, 5, 1), np.uint8)
    numbers[0, 0, :3, 0], numbers[0, 3, :3, 0] = 1, 2
    truth = InstanceTruth(partial(_same, Image(numbers, Intensity.LABEL)), "nucleus")
    seen = fingerprint(dataset(example("a", picture, truth, modality="")), load_task("nuclei"))
    assert seen.labels == {"nucleus": pytest.approx(0.2)}
    assert seen.channels == 3


def test_a_case_of_zeros_is_kept_whole() -> None:
    zeros = np.zeros((4, 5, 6), np.float32)
    seen = _seen(volume("a", zeros, zeros))
    assert seen.cases[0].shape == (6, 5, 4)
    assert seen.intensities[0].mean == 0.0


def test_what_cannot_be_looked_at_is_refused() -> None:
    with pytest.raises(ConfigError, match="examples"):
        _seen()
    values, labels = _ball(0)
    broken = volume("a", values, labels[1:])
    with pytest.raises(ConfigError, match="labels on the image's"):
        _seen(broken)


def test_it_survives_json_and_its_summary_is_short() -> None:
    seen = _seen(*(volume(str(n), *_ball(n)) for n in range(3)))
    assert Fingerprint.model_validate_json(seen.model_dump_json()) == seen
    assert seen.summary["cases"] == 3
    assert seen.summary["median_shape"] == [14.0, 12.0, 10.0]
