import math
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from networks.build import build
from networks.checkpoints.imported import Imported
from networks.checkpoints.keras_h_dense_unet import import_h_dense_unet
from networks.configs import DenseUNet3DConfig, DenseUNetConfig, HDenseUNetConfig
from tests.networks.checkpoints.keras_authors_code import (
    NARROW_SLICES,
    NARROW_VOLUME,
    SLICES,
    VOLUME,
    Arrays,
    Evaluation,
    Shapes,
    hybrid_shapes,
    narrow_arrays,
    random_arrays,
    slice_shapes,
    write,
)
from tests.networks.conftest import noise

RELEASED = HDenseUNetConfig(
    slice_network=DenseUNetConfig(skips=False),
    volume_network=DenseUNet3DConfig(in_channels=4, skips=False),
    context="logits",
    context_scale=250.0,
)
TOLERANCE = 2e-5  # of the largest logit: single precision through 167 and 65 convolutions against double
AUXILIARY_NUMBERS = 64 * 3 + 3


def numbers_in(shapes: Shapes) -> int:
    return sum(math.prod(shape) for own in shapes.values() for shape in own.values())


def answer(imported: Imported, x: Tensor) -> Tensor:
    network = build(imported.config).eval()
    network.load_state_dict(imported.tensors, strict=True)
    with torch.no_grad():
        return network(x)


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert theirs.std() > 0.05  # not a comparison of zeros
    assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


@pytest.fixture
def narrow() -> Arrays:
    return narrow_arrays()


def test_the_public_layers_have_the_published_numbers_of_parameters() -> None:
    """Counts of Keras, moving statistics included: 2D, with its adapter of the long connection, hybrid."""
    assert numbers_in(slice_shapes(SLICES, long=False)) == 45_305_027
    assert numbers_in(slice_shapes(SLICES, long=True)) == 49_970_531
    assert numbers_in(hybrid_shapes(SLICES, VOLUME, auxiliary=True)) == 61_444_817
    assert numbers_in(hybrid_shapes(SLICES, VOLUME, auxiliary=False)) == 61_444_817 - AUXILIARY_NUMBERS


def test_the_released_hybrid_answers_as_its_layers_do(tmp_path: Path) -> None:
    arrays = random_arrays(hybrid_shapes(SLICES, VOLUME, auxiliary=False))
    imported = import_h_dense_unet(write(tmp_path / "model_best.hdf5", arrays))
    (tmp_path / "model_best.hdf5").unlink()
    assert imported.config == RELEASED
    volume = noise(32, 64, 8)  # x, y, z
    with torch.no_grad():
        fused, _, _ = Evaluation(arrays).hybrid(volume.double(), SLICES, VOLUME)
    assert_close(answer(imported, volume.permute(2, 0, 1)[None, None])[0], fused.permute(3, 2, 0, 1))


def test_every_array_is_used_and_every_tensor_accounted_for(tmp_path: Path, narrow: Arrays) -> None:
    imported = import_h_dense_unet(write(tmp_path / "hybrid.h5", narrow))
    state = build(imported.config, device="meta").state_dict()
    assert [one.ours for one in imported.mapped] == list(imported.tensors) == list(state)
    used = {path for one in imported.mapped for path in one.theirs}
    assert used == {f"{layer}/{name}" for layer, own in narrow.items() for name in own}
    assert {one.ours for one in imported.mapped if not one.theirs} == {name for name in state if "num_batches" in name}
    assert imported.left_out == {}
    assert {
        (tensor.dtype, tensor.is_contiguous()) for name, tensor in imported.tensors.items() if "num_" not in name
    } == {(torch.float32, True)}


def test_all_three_heads_of_the_hybrid(tmp_path: Path, narrow: Arrays) -> None:
    imported = import_h_dense_unet(write(tmp_path / "hybrid.h5", narrow))
    network = build(imported.config).eval()
    network.load_state_dict(imported.tensors)
    volume = noise(64, 32, 12, seed=1)
    with torch.no_grad():
        theirs = Evaluation(narrow).hybrid(volume.double(), NARROW_SLICES, NARROW_VOLUME)
        ours = network.head_logits(volume.permute(2, 0, 1)[None, None])
    for head, expected in zip(ours, theirs, strict=True):
        assert_close(head[0], expected.permute(3, 2, 0, 1))


def test_auxiliary_head_may_be_missing(tmp_path: Path, narrow: Arrays) -> None:
    with_it = import_h_dense_unet(write(tmp_path / "with.h5", narrow))
    del narrow["3dclassifer"]
    without = import_h_dense_unet(write(tmp_path / "without.h5", narrow))
    changed = {name for name in with_it.tensors if not with_it.tensors[name].equal(without.tensors[name])}
    assert changed == {"volume_network.head.weight", "volume_network.head.bias"}
    for name in changed:
        assert not without.tensors[name].any()
        (told,) = (one for one in without.mapped if one.ours == name)
        assert told.theirs == ()
        assert told.how == "not in the file: auxiliary head, set to zero"


@pytest.mark.parametrize("long", [True, False])
def test_the_2d_network_alone(tmp_path: Path, long: bool) -> None:
    arrays = random_arrays(slice_shapes(NARROW_SLICES, long=long))
    imported = import_h_dense_unet(write(tmp_path / "slices.h5", arrays))
    assert isinstance(imported.config, DenseUNetConfig)
    assert imported.config.skips is long
    assert any("never turns them" in note for note in imported.notes) is long
    x = noise(2, 64, 96, 3)
    with torch.no_grad():
        _, logits = Evaluation(arrays).slices(x.double(), NARROW_SLICES, long=long)
    assert_close(answer(imported, x.permute(0, 3, 1, 2)), logits.permute(0, 3, 1, 2))


@pytest.mark.parametrize("long", [True, False])
def test_published_widths_of_the_2d_network_are_its_defaults(tmp_path: Path, long: bool) -> None:
    path = write(tmp_path / "slices.h5", slice_shapes(SLICES, long=long))
    assert import_h_dense_unet(path).config == DenseUNetConfig(skips=long)


def test_what_is_told_about_the_weights(tmp_path: Path, narrow: Arrays) -> None:
    hybrid = import_h_dense_unet(write(tmp_path / "hybrid.h5", narrow))
    assert hybrid.layout == "Keras H-DenseUNet"
    assert hybrid.labels == ("background", "liver", "liver_tumor")
    assert hybrid.input is not None
    assert (hybrid.input.low, hybrid.input.high, hybrid.input.mean) == (-200.0, 250.0, (48.0,))
    assert (hybrid.input.channels, hybrid.input.std, hybrid.input.size_px) == (1, (), None)
    assert "131" in hybrid.trained_on
    assert any("3DIRCADb" in note for note in hybrid.notes)
    slices = import_h_dense_unet(write(tmp_path / "slices.h5", random_arrays(slice_shapes(NARROW_SLICES, long=True))))
    assert slices.input is not None
    assert (slices.input.channels, slices.input.mean) == (3, (48.0, 48.0, 48.0))


# Files of the same weights, laid out in other ways.


def saved_as_a_model(path: Path, arrays: Arrays) -> None:
    write(path, arrays, inside="model_weights")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = "{}"
        state = file.create_group("optimizer_weights")
        state.create_dataset("SGD/iterations:0", data=np.int64(7))
        state.create_dataset("training/SGD/Variable:0", data=np.ones((3, 3), np.float32))


def nested(path: Path, arrays: Arrays) -> None:
    """A model inside that of several GPUs: one group with all arrays, their scopes counted as TensorFlow does."""
    inner = {}
    for own in arrays.values():
        for name, numbers in own.items():
            scope, _, own_name = name.partition("/")
            inner[f"{scope}_1/{own_name}"] = numbers
    trainable_first = sorted(inner, key=lambda name: "moving" in name)
    write(path, {"auto3d_residual_conv": {name: inner[name] for name in trainable_first}})


def with_counted_names(path: Path, arrays: Arrays) -> None:
    """A second network in the same TensorFlow graph: scopes and arrays bear a count, Keras' layers do not."""
    counted = {
        layer: {f"{layer}_2/{name.split('/')[1].removesuffix(':0')}_1:0": numbers for name, numbers in own.items()}
        for layer, own in arrays.items()
    }
    write(path, counted)


def with_spread_attributes(path: Path, arrays: Arrays) -> None:
    write(path, arrays)
    with h5py.File(path, "r+") as file:
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:50], names[50:]


def in_double_precision(path: Path, arrays: Arrays) -> None:
    write(path, {layer: {n: a.astype(">f8") for n, a in own.items()} for layer, own in arrays.items()})


@pytest.mark.parametrize(
    "lay_out",
    [
        saved_as_a_model,
        nested,
        with_counted_names,
        with_spread_attributes,
        in_double_precision,
        lambda path, arrays: write(path, arrays, text=str),
        lambda path, arrays: write(path, arrays, alphabetical=True),
        lambda path, arrays: write(path, dict(reversed(arrays.items())), inside="model_weights", text=str),
    ],
)
def test_the_same_weights_in_another_layout(
    tmp_path: Path, narrow: Arrays, lay_out: Callable[[Path, Arrays], object]
) -> None:
    plain = import_h_dense_unet(write(tmp_path / "plain.h5", narrow))
    lay_out(tmp_path / "other.h5", narrow)
    other = import_h_dense_unet(tmp_path / "other.h5")
    assert other.config == plain.config
    assert [name for name, tensor in plain.tensors.items() if not tensor.equal(other.tensors[name])] == []


def test_state_of_the_optimiser_is_left_out_by_name(tmp_path: Path, narrow: Arrays) -> None:
    saved_as_a_model(tmp_path / "model.h5", narrow)
    left_out = import_h_dense_unet(tmp_path / "model.h5").left_out
    assert set(left_out) == {"optimizer_weights/SGD/iterations:0", "optimizer_weights/training/SGD/Variable:0"}
    assert all("optimiser" in reason for reason in left_out.values())
