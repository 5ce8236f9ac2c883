"""Whole volumes: which series, on which grid, at which scale; and what is refused."""

from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.geometry import Grid, grid_from_axes
from datasets.image import Image, Intensity
from datasets.io.discover import open_inputs
from datasets.study import Loaded, Series, Study
from pipelines.run import Pipeline
from pipelines.score import many
from pipelines.task import load_task

SMALL = ("network.block_config=[2,2]", "network.growth_rate=4", "network.init_features=8", "network.variant=null")
GRID = grid_from_axes((40, 30, 20), (1.0, 1.0, 2.0), origin_mm=(-20.0, 10.0, 5.0))


def _task(name: str, *settings: str) -> Any:
    return load_task(name, [*SMALL, "size=[16,32,32]", *settings])


def _gradients(grid: Grid) -> np.ndarray:
    """x + 2 y + 3 z in mm, so that every place has its own value."""
    i, j, k = np.indices(grid.shape)
    points = grid.points_mm(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    return (points @ [1.0, 2.0, 3.0]).reshape(grid.shape)


def _image(grid: Grid, values: np.ndarray | None = None, intensity: Intensity = Intensity.GREY) -> Image:
    array = _gradients(grid) if values is None else values
    return Image(array[np.newaxis].astype(np.float32), intensity, grid.affine)


def _mr(name: str, grid: Grid = GRID, seed: int = 0, images: int = 20, refusal: InputRefused | None = None) -> Series:
    values = np.random.default_rng(seed).normal(100.0, 20.0, grid.shape)
    read = partial(Loaded, _image(grid, values))
    return Series(f"1.2.{seed}", "MR", "", images, grid, (), refusal, read, name=name)


def _sequences(*names: str, **more: Any) -> Study:
    return Study("study", "here", tuple(_mr(name, seed=n, **more) for n, name in enumerate(names)))


def test_every_voxel_lies_where_the_grid_says(tmp_path: Path) -> None:
    window = ("input.low=-200", "input.high=300", "input.mean=[-200]", "input.std=[500]")
    task = _task("volume_classification", "spacing_mm=[1.5,1.0,2.5]", *window)
    for orientation in ("plain", "turned"):
        direction = np.eye(3) if orientation == "plain" else np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]]).T
        grid = grid_from_axes((60, 60, 60), (1.0, 1.2, 1.1), direction, (-30.0, 12.0, -7.0))
        prepared = task.preprocess([_image(grid)])
        assert prepared.shape == (32, 32, 16)
        assert prepared.grid.orientation == "LPS"
        assert prepared.grid.spacing_mm == pytest.approx((1.5, 1.0, 2.5))
        middle = prepared.grid.points_mm((np.asarray(prepared.shape) - 1) / 2)
        np.testing.assert_allclose(middle, grid.points_mm((np.asarray(grid.shape) - 1) / 2), atol=1e-6)
        expected = np.clip((_gradients(prepared.grid) + 200.0) / 500.0, 0.0, 1.0)
        inner = (slice(4, -4), slice(4, -4), slice(4, -4))
        np.testing.assert_allclose(prepared.array[0][inner], expected[inner], atol=2e-3)


def test_what_lies_outside_is_black() -> None:
    task = _task("volume_classification")
    small = grid_from_axes((8, 8, 4), (1.0, 1.0, 2.0))
    prepared = task.preprocess([_image(small, np.full(small.shape, 60.0))]).array[0]
    # Constant inside: the smallest value of the volume is that constant, and nothing darker is made up.
    assert np.unique(prepared.round(5)).tolist() == [0.75]
    values = np.full(small.shape, 60.0)
    values[0, 0, 0] = -1000.0
    prepared = task.preprocess([_image(small, values)]).array[0]
    assert prepared[0, 0, 0] == 0.0
    assert prepared[16, 16, 8] == pytest.approx(0.75)


def test_standardised_sequences_have_mean_0_and_deviation_1_where_there_is_signal() -> None:
    task = _task("glioblastoma_response", "size=[20,30,40]", "spacing_mm=[1.0,1.0,2.0]")
    values = np.zeros(GRID.shape)
    values[5:35, 5:25, 3:17] = np.random.default_rng(0).normal(300.0, 40.0, (30, 20, 14))
    images = [_image(GRID, values * gain) for gain in (1.0, 7.0, 0.01)]
    prepared = task.preprocess(images)
    assert prepared.channels == 3
    signal = prepared.array[0][5:35, 5:25, 3:17]
    assert signal.mean() == pytest.approx(0.0, abs=0.02)
    assert signal.std() == pytest.approx(1.0, abs=0.05)
    # Scanners' units do not matter.
    np.testing.assert_allclose(prepared.array[1], prepared.array[0], atol=1e-3)
    np.testing.assert_allclose(prepared.array[2], prepared.array[0], atol=1e-3)


def test_a_volume_without_signal_is_no_division_by_zero() -> None:
    task = _task("glioblastoma_response")
    assert not task.preprocess([_image(GRID, np.full(GRID.shape, 5.0))] * 3).array.any()


def test_sequences_are_found_by_their_names_whatever_their_order() -> None:
    task = _task("glioblastoma_response")
    study = _sequences("Ax FLAIR fat sat", "localizer", "t1_mprage_sag", "Ax T2 TSE")
    chosen = task.choose(study)
    assert [series.name for series in chosen.series] == ["t1_mprage_sag", "Ax T2 TSE", "Ax FLAIR fat sat"]
    result = Pipeline.load(task, "cpu").run(study)
    labels = ["complete_response", "partial_response", "stable_disease", "progressive_disease"]
    assert [finding.label for finding in result.findings] == labels
    assert sum(finding.positive for finding in result.findings) == 1
    assert result.study.modality == "MR"


@pytest.mark.parametrize("names", [("t1", "t2"), ("t1", "t1 post", "t2", "flair"), ("", "", "")])
def test_a_sequence_that_is_missing_or_there_twice_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InputRefused) as raised:
        _task("glioblastoma_response").choose(_sequences(*names))
    assert raised.value.code is RefusalCode.MISSING_SEQUENCE
    # People type names into series descriptions: none is told.
    assert "post" not in str(raised.value)


def test_the_refusal_of_a_sequence_is_the_studys() -> None:
    gap = InputRefused(RefusalCode.MISSING_SLICE, "all slices", "a gap", "send them")
    study = Study("study", "here", (_mr("t1", seed=0), _mr("t2", seed=1, refusal=gap), _mr("flair", seed=2)))
    with pytest.raises(InputRefused) as raised:
        _task("glioblastoma_response").choose(study)
    assert raised.value.code is RefusalCode.MISSING_SLICE


@pytest.mark.parametrize(
    "other",
    [
        grid_from_axes((40, 30, 21), (1.0, 1.0, 2.0), origin_mm=(-20.0, 10.0, 5.0)),
        grid_from_axes((40, 30, 20), (1.0, 1.0, 2.1), origin_mm=(-20.0, 10.0, 5.0)),
        grid_from_axes((40, 30, 20), (1.0, 1.0, 2.0), origin_mm=(-20.0, 10.0, 9.0)),
    ],
)
def test_sequences_on_other_grids_are_refused(other: Grid) -> None:
    study = Study("study", "here", (_mr("t1", seed=0), _mr("t2", other, seed=1), _mr("flair", seed=2)))
    with pytest.raises(InputRefused) as raised:
        Pipeline.load(_task("glioblastoma_response"), "cpu").run(study)
    assert raised.value.code is RefusalCode.DIFFERENT_GRIDS
    assert "register" in raised.value.advice


def test_an_image_without_a_spacing_or_with_channels_is_refused() -> None:
    task = _task("volume_classification")
    with pytest.raises(InputRefused) as raised:
        task.preprocess([Image(np.zeros((1, 9, 9, 9)), Intensity.GREY)])
    assert raised.value.code is RefusalCode.NO_SPACING
    with pytest.raises(InputRefused) as raised:
        task.preprocess([Image(np.zeros((2, 9, 9, 9)), Intensity.GREY, np.eye(4))])
    assert raised.value.code is RefusalCode.UNSUPPORTED_DIMENSIONS


def test_files_of_one_case_are_one_study(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        for name in ("case1_t1", "case1_t2", "case1_flair", "case2_t1", "other"):
            values = np.random.default_rng(len(name)).normal(size=GRID.shape).astype(np.float32)
            nib.save(nib.Nifti1Image(values, GRID.affine), folder / f"{name}.nii.gz")
    task = _task("glioblastoma_response")
    with open_inputs(folders) as inventory:
        studies = task.gather(inventory.studies)
        assert [(study.uid, len(study.series)) for study in studies] == [
            ("case1-a", 3),
            ("case2_t1-a", 1),
            ("other-a", 1),
            ("case1-b", 3),
            ("case2_t1-b", 1),
            ("other-b", 1),
        ]
        scored = list(many(studies, Pipeline.load(task, "cpu"), tmp_path / "out"))
    assert [item.entry.code for item in scored] == ["", "missing_sequence", "missing_sequence"] * 2


def test_one_series_is_chosen_by_the_rule_where_no_sequences_are_named() -> None:
    ct = [Series(f"1.{n}", "CT", "", n, GRID, (), None, partial(Loaded, _image(GRID))) for n in (20, 12)]
    task = _task("volume_classification")
    assert task.gather([Study("a", "a", ())]) == (Study("a", "a", ()),)
    chosen = task.choose(Study("study", "here", tuple(ct)))
    assert [series.uid for series in chosen.series] == ["1.20"]
    (finding,) = Pipeline.load(task, "cpu").run(Study("study", "here", tuple(ct))).findings
    assert finding.label == "present"
    mortality = Pipeline.load(_task("sah_mortality"), "cpu").run(Study("study", "here", tuple(ct)))
    assert [finding.label for finding in mortality.findings] == ["dead_at_3_months"]


@pytest.mark.parametrize(
    ("name", "setting", "told"),
    [
        ("volume_classification", "network.spatial_dims=2", "three dimensions"),
        ("volume_classification", "network.in_channels=2", "sequences that name the channels"),
        ("glioblastoma_response", "network.in_channels=2", "as many sequences as network.in_channels; got 3 for 2"),
        ("glioblastoma_response", "sequences=[{name: t1}]", "a pattern or a suffix of t1"),
        ("glioblastoma_response", "sequences=[{name: t1, pattern: '('}]", "a regular expression"),
    ],
)
def test_settings_that_make_no_sense(name: str, setting: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        _task(name, setting)
