"""The liver task with H-DenseUNet: the same path, another stream."""

from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.errors import ConfigError
from datasets.io.discover import open_inputs
from pipelines.results import FlagCode
from pipelines.run import Pipeline
from pipelines.task import load_task
from pipelines.tensors import as_tensor
from tests.pipelines.liver_scene import Reading, field_of_view, scan, study

TASK = "liver_ct_h_dense_unet"
NARROW = tuple(
    f"network.{part}.{key}={value}"
    for part in ("slice_network", "volume_network")
    for key, value in (
        ("block_config", [1, 1, 1, 1]),
        ("growth_rate", 4),
        ("init_features", 8),
        ("feature_channels", 4),
        ("in_channels", 3 if part == "slice_network" else 4),
    )
)


@pytest.mark.parametrize("shape", [(132, 112, 84), (60, 50, 6)])
def test_labels_are_those_of_the_network_on_the_scans_grid(shape: tuple[int, int, int]) -> None:
    image = scan(field_of_view((3.0, 3.0, 2.0), shape))
    depth = image.shape[2]
    # One window over everything: what comes out must be what the network says about the volume as a whole.
    window = -(-depth // 4) * 4
    task = load_task(TASK, [*NARROW, f"windows.size=[{window}, null, null]", "skip_air=false", "localise=null"])
    pipeline = Pipeline.load(task, "cpu")
    prepared = task.preprocess(image)
    with torch.inference_mode():
        said = task.infer(pipeline.network, prepared, image, pipeline.compute)
        p = pipeline.network(as_tensor(prepared)[None])[0].softmax(0)
    liver = p[1] + p[2] >= task.liver_threshold
    expected = liver.int() + (liver & (p[2] >= task.tumor_threshold)).int()
    assert expected.unique().numel() > 1
    assert said.labels.grid.matches(image.grid)
    # Sums in another order move a handful of voxels across a threshold.
    assert (said.labels.array[0].transpose(2, 1, 0) == expected.numpy()).mean() > 0.999


def test_result_says_that_the_weights_are_random() -> None:
    image = scan(field_of_view((3.0, 3.0, 4.0)))
    result = Pipeline.load(load_task(TASK, [*NARROW, "localise=null"]), "cpu").run(study(Reading(image)))
    assert result.labels is not None
    assert result.labels.grid.matches(image.grid)
    assert FlagCode.UNTRAINED_WEIGHTS in {flag.code for flag in result.quality}


def test_flags_tell_whose_weights_they_are_about() -> None:
    flags = {flag.code: flag.message for flag in Pipeline.load(load_task(TASK, NARROW), "cpu").flags}
    assert flags[FlagCode.UNTRAINED_WEIGHTS].startswith("the network has random weights")
    assert flags[FlagCode.PHANTOM_WEIGHTS].startswith("of the coarse look: these weights")
    # With a task's own phantom weights there is nothing to add.
    (flag,) = Pipeline.load(load_task("liver_ct", [f"localise={_coarse()}"]), "cpu").flags
    assert flag.message.startswith("these weights")


def _coarse() -> str:
    localise = load_task(TASK).localise
    assert localise is not None
    return localise.model_dump_json()


def test_narrow_settings_are_narrow() -> None:
    task = load_task(TASK, NARROW)
    assert task.network.volume_network.growth_rate == 4
    assert load_task(TASK).network.volume_network.growth_rate == 32


@pytest.mark.parametrize("size", ["[8, 64, 64]", "[6, null, null]", "[null, null, 32]"])
def test_windows_it_cannot_take_are_refused_with_the_settings(size: str) -> None:
    with pytest.raises(ConfigError, match="multiple of 4"):
        load_task(TASK, [f"windows.size={size}"])


def test_two_axes_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 numbers"):
        load_task(TASK, ["windows.size=[null, null]"])


@pytest.mark.real_data
def test_real_slices_from_end_to_end(shared_data: Path) -> None:
    """Random weights of narrow networks on 20 compressed slices of 512 x 512; the full widths are a slow test."""
    pipeline = Pipeline.load(load_task(TASK, NARROW), "cpu")
    with open_inputs([shared_data / "ct_abdomen" / "dicom_j2k"]) as inventory:
        result = pipeline.run(inventory.studies[0])
    assert result.labels is not None
    assert result.labels.array.shape == (1, 512, 512, 20)
    assert result.grid.spacing_mm[2] == pytest.approx(2.0)
    assert np.isin(result.labels.array, (0, 1, 2)).all()


@pytest.mark.real_data
@pytest.mark.slow
def test_real_slices_through_the_published_widths(shared_data: Path) -> None:
    pipeline = Pipeline.load(load_task(TASK), "cpu")
    with open_inputs([shared_data / "ct_abdomen" / "dicom_j2k"]) as inventory:
        result = pipeline.run(inventory.studies[0])
    assert result.labels is not None
    assert result.labels.array.shape == (1, 512, 512, 20)
