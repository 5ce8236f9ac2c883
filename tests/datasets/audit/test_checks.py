"""Checks on what was noted, with numbers chosen so that the answer is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from datasets.audit import balance, spacing
from datasets.audit.auditing import audit
from datasets.audit.facts import CaseFacts, ImageFacts, Survey
from datasets.audit.geometry import check as check_geometry
from datasets.defects import Defect, DefectCode
from datasets.example import ClassTruth, Dataset, Example, FindingsTruth, MaskTruth
from datasets.geometry import Grid, grid_from_axes
from datasets.image import Image, Intensity
from datasets.labels import LIVER_AND_TUMOR
from datasets.phantoms import default_grid
from datasets.study import Study
from tests.datasets.audit.phantom_sets import NAMES, Held, dataset, masked
from tests.datasets.export.liver_set import phantom_example

MM = (0.8, 0.8, 2.5)
MATRIX = (512, 512, 84)


def _volume(name: str, grid: Grid) -> CaseFacts:
    facts = ImageFacts(
        series=name,
        modality="CT",
        intensity=Intensity.HOUNSFIELD,
        shape=grid.shape,
        grid=grid,
        channels=1,
        stored_channels=1,
        dtype="int16",
        digest=name,
        placed=name,
        percentiles=np.linspace(-1000, 1000, 9),
        offset_share=0.0,
        thumbnail=np.zeros((1, 1, 1), np.float32),
    )
    example = Example(Study(name, name, ()), ClassTruth(0, ("a", "b")), name)
    return CaseFacts(example, (facts,), None, ())


def _spaced(*grids: Grid) -> list[tuple[str, str]]:
    cases = tuple(_volume(str(number), grid) for number, grid in enumerate(grids))
    survey = Survey(Dataset("x", "x", tuple(case.example for case in cases), ()), cases)
    found = list(spacing.check(survey))
    assert {defect.code for defect in found} <= {DefectCode.SPACING_NOT_TOLD}
    return [(defect.where, defect.gravity) for defect in found]


def _grids(count: int) -> list[Grid]:
    return [grid_from_axes(MATRIX, MM) for _ in range(count)]


@pytest.mark.parametrize(
    ("shape", "mm"),
    [
        (MATRIX, (1.0, 1.0, 1.0)),
        (MATRIX, (0.0008, 0.0008, 0.0025)),
        (MATRIX, (800.0, 800.0, 2500.0)),
        (MATRIX, (2.5, 0.8, 0.8)),
        ((84, 512, 512), (0.8, 0.8, 2.5)),
    ],
)
def test_headers_that_cannot_be_true(shape: tuple[int, int, int], mm: tuple[float, float, float]) -> None:
    grid = Grid(shape, np.diag([*mm, 1.0]))
    assert _spaced(*_grids(6), grid) == [("6", "error")]
    assert _spaced(grid) == [("0", "error")]


@pytest.mark.parametrize(
    ("shape", "mm"),
    [
        (MATRIX, (0.7, 0.7, 5.0)),
        ((410, 410, 210), (1.0, 1.0, 1.0)),
        ((84, 512, 512), (2.5, 0.8, 0.8)),
        ((240, 240, 155), (1.0, 1.0, 1.0)),
        ((340, 300, 200), (1.5, 1.5, 1.5)),
    ],
)
def test_headers_that_can(shape: tuple[int, int, int], mm: tuple[float, float, float]) -> None:
    assert _spaced(grid_from_axes(shape, mm)) == []
    if shape != (240, 240, 155):
        assert _spaced(*_grids(6), grid_from_axes(shape, mm)) == []


def test_slices_far_thicker_than_the_sets_are_told() -> None:
    assert _spaced(*_grids(6), grid_from_axes((512, 512, 14), (0.8, 0.8, 15.0))) == [("6", "warning")]


def test_one_of_many_alike_has_its_spacing_in_another_order() -> None:
    grids = [grid_from_axes((40, 40, 40), (1.0, 1.0, 3.0)) for _ in range(6)]
    assert _spaced(*grids, grid_from_axes((40, 40, 40), (3.0, 1.0, 1.0))) == [("6", "error")]


def _pair(grid: Grid, other: Grid) -> list[Defect]:
    rng = np.random.default_rng(0)
    image = Image(rng.normal(size=(1, *grid.shape)).astype(np.float32), Intensity.GREY, grid.affine)
    labels = Image(np.zeros((1, *other.shape), np.uint8), Intensity.LABEL, other.affine)
    return [d for d in audit(dataset([masked("a", image, labels)])) if d.code is DefectCode.GEOMETRY_MISMATCH]


def test_how_far_grids_differ_is_told_in_mm() -> None:
    grid = grid_from_axes((20, 22, 24), (2.0, 2.0, 3.0))
    (found,) = _pair(grid, grid_from_axes((20, 22, 24), (2.0, 2.0, 3.0), origin_mm=(0.0, 3.0, 4.0)))
    assert "first voxel 5.00 mm away" in found.found
    assert found.fix == ""
    (near,) = _pair(grid, grid_from_axes((20, 22, 24), (2.0, 2.0, 3.0), origin_mm=(1.0, 0.0, 0.0)))
    assert near.fix == "copy_image_grid"
    (lost,) = _pair(grid, Grid((20, 22, 24), np.eye(4)))
    assert lost.fix == "copy_image_grid"
    assert "spacing 1 x 1 x 1 mm for 2 x 2 x 3 mm" in lost.found
    (cut,) = _pair(grid, grid_from_axes((20, 22, 12), (2.0, 2.0, 6.0)))
    assert "shape 20 x 22 x 12 for 20 x 22 x 24" in cut.found
    assert cut.fix == ""


def test_rounding_in_a_header_is_no_mismatch() -> None:
    grid = grid_from_axes((20, 22, 24), (0.7421875, 0.7421875, 3.0), origin_mm=(-123.456789, 88.1, 3.3))
    rounded = Grid(grid.shape, np.round(grid.affine, 4))
    assert _pair(grid, rounded) == []
    assert list(check_geometry(Survey(Dataset("x", "x", (), ()), ()))) == []


def _blob(value: int = 1) -> tuple[Image, Image]:
    rng = np.random.default_rng(1)
    mask = np.zeros((1, 24, 24, 12), np.uint8)
    mask[:, 3:12, 4:12, 2:7] = value
    values = rng.normal(0.0, 10.0, mask.shape) + 100.0 * (mask > 0)
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    return Image(values.astype(np.float32), Intensity.GREY, affine), Image(mask, Intensity.LABEL, affine)


def _labelled(*maps: np.ndarray) -> list[Defect]:
    image, labels = _blob()
    return list(audit(dataset([masked(str(n), image, labels.like(array)) for n, array in enumerate(maps)])))


def test_labels_that_are_not_there() -> None:
    _, labels = _blob()
    found = [d for d in _labelled(labels.array) if d.code is DefectCode.LABEL_ABSENT]
    assert [("liver_tumor" in d.found, d.gravity) for d in found] == [(True, "warning")]
    empty = _labelled(labels.array * 0, labels.array * 0)
    assert ("", "error") in {(d.where, d.gravity) for d in empty if d.code is DefectCode.LABELS_EMPTY}


def test_values_between_two_labels_are_for_a_person_to_decide() -> None:
    _, labels = _blob()
    found = [d for d in _labelled(labels.array * np.float32(0.5)) if d.code is DefectCode.UNKNOWN_LABEL]
    assert [(d.gravity, d.fix) for d in found] == [("error", "")]
    assert "360 of 6912" in found[0].found


def test_a_task_asks_for_its_labels() -> None:
    image, labels = _blob()
    examples = [masked("a", image, labels)]
    found = audit(dataset(examples, ("liver", "spleen")), wanted=LIVER_AND_TUMOR)
    told = [d for d in found if d.code is DefectCode.LABEL_ABSENT and d.gravity == "error"]
    assert ["liver_tumor" in d.found for d in told] == [True]


def test_an_unnamed_value_in_one_case_alone() -> None:
    image, labels = _blob()
    names = {1: "1", 7: "7"}
    odd = np.array(labels.array)
    odd[0, 3, 4, 2] = 7
    rng = np.random.default_rng(2)
    examples = []
    for number in range(8):
        noisy = image.like(image.array + rng.normal(0, 20, image.array.shape).astype(np.float32))
        one = masked(str(number), noisy, labels.like(odd) if number == 3 else labels)
        examples.append(replace(one, truth=MaskTruth(one.truth.read, names)))
    found = [d for d in audit(dataset(examples, ("1", "7"))) if d.code is DefectCode.UNKNOWN_LABEL]
    assert [(d.where, d.gravity) for d in found] == [("3", "warning")]


def _truths(truths: Sequence[ClassTruth | FindingsTruth], labels: tuple[str, ...]) -> list[tuple[DefectCode, str, str]]:
    cases = tuple(CaseFacts(Example(Study(str(n), "", ()), t, str(n)), (), None, ()) for n, t in enumerate(truths))
    survey = Survey(Dataset("x", "x", tuple(case.example for case in cases), labels), cases)
    return [(d.code, d.gravity, d.where) for d in balance.check(survey)]


def test_classes() -> None:
    names = ("a", "b", "c")
    assert _truths([ClassTruth(n % 3, names) for n in range(30)], names) == []
    rare = [ClassTruth(0, names)] * 50 + [ClassTruth(1, names)] * 50 + [ClassTruth(2, names)] * 2
    assert _truths(rare, names) == [(DefectCode.CLASS_IMBALANCE, "warning", "")]
    assert _truths([ClassTruth(0, names)] * 5, names) == [(DefectCode.LABEL_ABSENT, "error", "")]
    outside = [ClassTruth(n % 3, names) for n in range(6)] + [ClassTruth(3, names)]
    assert _truths(outside, names) == [(DefectCode.UNKNOWN_LABEL, "error", "6")]


def test_findings() -> None:
    mixed = [FindingsTruth({"a": float(n % 2), "b": float(n % 3 == 0)}) for n in range(30)]
    assert _truths(mixed, ("a", "b")) == []
    assert _truths(mixed, ("a", "b", "c")) == [(DefectCode.LABEL_ABSENT, "warning", "")]
    assert (DefectCode.UNKNOWN_LABEL, "error", "0") in _truths(mixed, ("a",))
    rare = [FindingsTruth({"a": float(n == 0)}) for n in range(200)]
    assert _truths(rare, ("a",)) == [(DefectCode.CLASS_IMBALANCE, "warning", "")]
    assert _truths([FindingsTruth({"a": float("nan")}), *mixed[:1]], ("a", "b"))[0] == (
        DefectCode.UNKNOWN_LABEL,
        "error",
        "0",
    )


def test_a_label_of_hardly_any_voxels() -> None:
    affine = np.eye(4)
    mask = np.zeros((1, 40, 40, 40), np.uint8)
    mask[0, 5:25, 5:25, 5:25] = 1
    mask[0, 30, 30, 30:33] = 2
    image = Image(np.random.default_rng(0).normal(size=mask.shape).astype(np.float32), Intensity.GREY, affine)
    example = Example(
        masked("a", image, Image(mask, Intensity.LABEL, affine)).study,
        MaskTruth(Held(Image(mask, Intensity.LABEL, affine)), NAMES),
        "a",
    )
    (found,) = audit(dataset([example]))
    assert (found.code, found.gravity) == (DefectCode.CLASS_IMBALANCE, "warning")
    assert "1 to 2667" in found.found  # 8000 / 3


def test_labels_that_fit_are_not_another_cases_because_those_fit_a_little_better() -> None:
    # Of twelve phantoms on this grid the labels of 109 fit the image of 105 a little better than its own.
    grid = default_grid((2.0, 2.0, 4.0))
    names = LIVER_AND_TUMOR.names
    examples = tuple(phantom_example(seed, grid) for seed in (105, 109, 101, 102))
    assert audit(Dataset("Phantom livers", "memory", examples, names)) == ()
