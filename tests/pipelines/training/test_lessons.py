"""What tasks teach: truths on the network's grid by formula, classes and findings by name."""

import math

import numpy as np
import pytest
import torch

from datasets.errors import ConfigError, InputRefused
from datasets.example import ClassTruth, Example, FindingsTruth, InstanceTruth, MaskTruth
from datasets.geometry import grid_from_axes
from datasets.image import Image, Intensity
from datasets.study import Loaded, Series, Study
from pipelines.classification import ClassesHead, FindingsHead, ScoreHead
from pipelines.task import load_task
from pipelines.training.class_lesson import ClassLesson, wanted_of
from pipelines.training.lessons import lesson_of
from pipelines.training.voxel_lesson import VoxelLesson

RADIUS_MM = 30.0


def scan(orientation: str = "plain") -> tuple[Image, Image]:
    """A ball of liver in fat and its mask, on a grid of 2 x 2 x 3 mm."""
    direction = np.eye(3) if orientation == "plain" else np.array([[0, 0, -1.0], [-1, 0, 0], [0, 1, 0]]).T
    grid = grid_from_axes((60, 56, 40), (2.0, 2.0, 3.0), direction, (10.0, -20.0, 5.0))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    middle = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
    inside = np.linalg.norm(grid.points_mm(index.reshape(-1, 3)) - middle, axis=1).reshape(grid.shape) < RADIUS_MM
    values = np.where(inside, 60.0, -140.0).astype(np.float32)
    return Image(values[None], Intensity.HOUNSFIELD, grid.affine), Image(
        inside[None].astype(np.uint8), Intensity.LABEL, grid.affine
    )


def example(image: Image, truth: object, modality: str = "CT") -> Example:
    series = Series("1", modality, "", 40, None, (), None, lambda: Loaded(image))
    return Example(Study("one", "here", (series,)), truth, "one")  # type: ignore[arg-type]


def liver(*overrides: str) -> VoxelLesson:
    lesson = lesson_of(load_task("liver_ct", overrides))
    assert isinstance(lesson, VoxelLesson)
    return lesson


@pytest.mark.parametrize("orientation", ["plain", "turned"])
def test_truth_lies_where_the_image_does(orientation: str) -> None:
    image, mask = scan(orientation)
    (case,) = liver().prepare(example(image, MaskTruth(lambda: mask, {1: "Liver"})))
    assert case.truth.shape[1:] == case.inputs.shape[1:]
    bright = case.inputs[0] > -40.0 - 48.0  # Halfway between what is around and liver, 48 subtracted.
    truth = case.truth[0] == 1
    assert np.count_nonzero(bright ^ truth) / np.count_nonzero(truth) < 0.02
    voxel_ml = math.prod(case.spacing) / 1000.0
    assert np.count_nonzero(truth) * voxel_ml == pytest.approx(4 / 3 * math.pi * RADIUS_MM**3 / 1000.0, rel=0.02)
    assert case.spacing == pytest.approx((3.0, 1.5, 1.5))
    assert set(case.places) == {"any", "liver"}
    assert truth.reshape(-1)[case.places["liver"]].all()


def test_a_mask_with_its_axes_otherwise_is_the_same_truth() -> None:
    image, mask = scan()
    flipped = mask.affine.copy()  # type: ignore[union-attr]
    flipped[:3, 3] += flipped[:3, 0] * (mask.shape[0] - 1)
    flipped[:3, 0] *= -1
    other = Image(mask.array[:, ::-1].copy(), Intensity.LABEL, flipped)
    straight = liver().prepare(example(image, MaskTruth(lambda: mask, {1: "liver"})))[0]
    turned = liver().prepare(example(image, MaskTruth(lambda: other, {1: "liver"})))[0]
    np.testing.assert_array_equal(straight.truth, turned.truth)


def test_a_mask_elsewhere_or_with_a_strange_value_is_refused() -> None:
    image, mask = scan()
    moved = mask.affine.copy()  # type: ignore[union-attr]
    moved[:3, 3] += 4.0
    with pytest.raises(InputRefused) as refused:
        liver().prepare(example(image, MaskTruth(lambda: Image(mask.array, Intensity.LABEL, moved), {1: "liver"})))
    assert refused.value.code == "different_grids"
    strange = Image(mask.array * 7, Intensity.LABEL, mask.affine)
    with pytest.raises(InputRefused, match="7") as refused:
        liver().prepare(example(image, MaskTruth(lambda: strange, {1: "liver"})))
    assert refused.value.code == "unknown_label"


def test_labels_by_other_names() -> None:
    image, mask = scan()
    truth = MaskTruth(lambda: mask, {1: "Leber"})
    assert not liver().prepare(example(image, truth))[0].truth.any()
    assert liver("training.labels={Leber: liver}").prepare(example(image, truth))[0].truth.any()


def test_what_is_to_be_ignored_is_unknown() -> None:
    image, mask = scan()
    array = mask.array.copy()
    array[:, :30][array[:, :30] == 1] = 3
    truth = MaskTruth(lambda: Image(array, Intensity.LABEL, mask.affine), {1: "liver", 3: "ignore"})
    lesson = liver()
    (case,) = lesson.prepare(example(image, truth))
    known, ignored = (int((case.truth == value).sum()) for value in (1, 255))
    assert known == pytest.approx(ignored, rel=0.05)
    assert not (case.truth.reshape(-1)[case.places["any"]] == 255).any()
    wanted = torch.tensor([[[255, 255, 1]]])
    said = torch.nn.functional.one_hot(torch.tensor([[[1, 2, 1]]]), 3).permute(0, 3, 1, 2).float()
    assert lesson.figures([said], [wanted]).told == {"dice_liver": 1.0}


def test_slices_stand_between_their_neighbours() -> None:
    pixels = torch.arange(3.0).reshape(1, 3, 1, 1).expand(1, 3, 4, 5)
    truth = torch.arange(3, dtype=torch.uint8).reshape(1, 3, 1, 1).expand(1, 3, 4, 5)
    inputs, wanted = liver().finished(pixels, truth)
    assert inputs[:, 0, 0].tolist() == [0.0, 1.0, 2.0]
    assert wanted.shape == (4, 5)
    assert wanted.unique().tolist() == [1]


def test_dice_of_a_look_by_hand() -> None:
    wanted = torch.tensor([[[0, 1, 1, 2]]])
    said = torch.nn.functional.one_hot(torch.tensor([[[0, 1, 2, 2]]]), 3).permute(0, 3, 1, 2).float()
    figures = liver().figures([said], [wanted])
    # Liver: one of (2 true + 1 said); tumour: one of (1 true + 2 said).
    assert figures.told == pytest.approx({"dice_liver": 2 / 3, "dice_liver_tumor": 2 / 3})
    assert figures.main == pytest.approx(2 / 3)
    assert liver().figures([said[..., :1]], [wanted[..., :1]]).told == {}


def test_nuclei_learn_interiors_and_borders() -> None:
    numbers = np.zeros((1, 9, 9, 1), np.int32)
    numbers[0, 2:7, 2:7] = 5
    image = Image((numbers > 0).astype(np.uint8) * 200, Intensity.GREY)
    lesson = lesson_of(load_task("nuclei"))
    (case,) = lesson.prepare(example(image, InstanceTruth(lambda: Image(numbers, Intensity.LABEL), "nucleus"), "SM"))
    inputs, wanted = lesson.finished(torch.from_numpy(case.inputs.copy()), torch.from_numpy(case.truth.copy()))
    assert inputs.shape == (3, 9, 9)
    assert (int((wanted == 1).sum()), int((wanted == 2).sum())) == (9, 16)


HEADS = (
    FindingsHead(labels=("a", "b")),
    ClassesHead(labels=("x", "y", "z"), negative="x"),
    ScoreHead(name="s", high=8),
)


def wanted(truth: object, renamed: dict[str, str] | None = None) -> list[float | None]:
    some = example(Image(np.zeros((1, 2, 2, 1), np.uint8), Intensity.GREY), truth)
    return [None if math.isnan(value) else value for value in wanted_of(some, HEADS, renamed or {}).tolist()]


def test_what_is_wanted_by_name() -> None:
    assert wanted(FindingsTruth({"a": 1.0, "y": 1.0, "x": 0.0, "z": 0.0, "s": 3.5})) == [1, None, 0, 1, 0, 3.5]
    # Nothing but the negative class is left where all others are known not to be there.
    assert wanted(FindingsTruth({"y": 0.0, "z": 0.0})) == [None, None, 1, 0, 0, None]
    assert wanted(FindingsTruth({"y": 0.0})) == [None] * 6
    assert wanted(FindingsTruth({"A": 1.0}), {"A": "a"}) == [1, None, None, None, None, None]
    assert wanted(ClassTruth(2, ("x", "y", "z"))) == [None, None, 0, 0, 1, None]
    assert wanted(ClassTruth(1, ("0", "1", "2"))) == [None, None, 0, 1, 0, None]
    with pytest.raises(ConfigError, match="dog"):
        wanted(ClassTruth(1, ("cat", "dog")))
    with pytest.raises(ConfigError, match="MaskTruth"):
        wanted(MaskTruth(lambda: Image(np.zeros((1, 2, 2, 1)), Intensity.LABEL), {}))


def test_what_was_fitted_to_other_weights_is_not_taken_over() -> None:
    lesson = lesson_of(load_task("chest_pneumonia"))
    assert isinstance(lesson, ClassLesson)
    assert lesson.task.expected.size_px == 56
    assert lesson.task.operating_points == {}
    assert lesson.task.calibration == {}
    assert lesson.told()["labels"] == ("normal", "pneumonia")


def test_figures_of_classes_by_hand() -> None:
    lesson = lesson_of(load_task("chest_pneumonia"))
    logits = torch.tensor([[0.0, 2.0], [0.0, 1.0], [0.0, 0.0], [0.0, -1.0]])
    truth = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    # Of the four pairs of a sick and a well one three are in the right order.
    assert lesson.figures([logits[:3], logits[3:]], [truth[:3], truth[3:]]).main == pytest.approx(0.75)
