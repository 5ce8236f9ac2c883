"""Files of H-DenseUNet's layout that are not whole, not right or not harmless: each refused, with what is wrong."""

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from networks.checkpoints.imported import CheckpointRefused
from networks.checkpoints.keras_h_dense_unet import import_h_dense_unet
from tests.networks.checkpoints.keras_authors_code import Arrays, narrow_arrays, random_arrays, write


@pytest.fixture(scope="module")
def narrow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that imports, to be copied and damaged."""
    path = write(tmp_path_factory.mktemp("keras") / "narrow.h5", narrow_arrays())
    import_h_dense_unet(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointRefused) as caught:
        import_h_dense_unet(path)
    assert path.name in caught.value.got
    assert caught.value.advice
    return str(caught.value)


def rename(arrays: Arrays, layer: str, change: Callable[[str], str]) -> None:
    arrays[layer] = {change(name): numbers for name, numbers in arrays[layer].items()}


def poison(arrays: Arrays, layer: str, number: float) -> None:
    next(iter(arrays[layer].values())).ravel()[-1:] = number


def negative_variance(arrays: Arrays) -> None:
    arrays["bn_up2"]["bn_up2/moving_variance:0"][3] = -1e-6


def transposed(arrays: Arrays) -> None:
    name = "3dconv3_1_x2/kernel:0"
    arrays["3dconv3_1_x2"][name] = np.ascontiguousarray(arrays["3dconv3_1_x2"][name].swapaxes(3, 4))


CHANGES: dict[str, tuple[Callable[[Arrays], object], str]] = {
    "a convolution is missing": (lambda a: a.pop("3dconv2_2_x2"), "no layer 3dconv2_2_x2"),
    "a Scale is missing": (lambda a: a.pop("conv2_1_x1_scale"), "no layer conv2_1_x1_scale"),
    "the stem is missing": (lambda a: a.pop("3dconv1"), "kernel of 3dconv1"),
    "a decoder stage is missing": (lambda a: (a.pop("conv_up4"), a.pop("bn_up4")), "kernel of conv_up4"),
    "the 2D head is missing": (lambda a: a.pop("dense167classifer"), "kernel of dense167classifer"),
    "the fusion is missing": (lambda a: [a.pop(n) for n in ("fianl_conv", "final_bn")], "no layer fianl_conv"),
    "a whole dense layer is missing": (
        lambda a: [a.pop(name) for name in list(a) if name.startswith("conv3_1_")],
        r"without a gap",
    ),
    "a layer too many": (lambda a: a.update(dense_1={"dense_1/kernel:0": np.ones((3, 3), np.float32)}), "dense_1"),
    "a tap's adapter in the hybrid": (
        lambda a: a.update(random_arrays({"line0": {"line0/kernel:0": (1, 1, 21, 22), "line0/bias:0": (22,)}})),
        "layer line0, which the network does not have",
    ),
    "an array too many": (
        lambda a: a["conv1"].update({"conv1/bias:0": np.ones(8, np.float32)}),
        r"conv1 with bias \(8,\), kernel",
    ),
    "an array too few": (lambda a: a["final_bn"].pop("final_bn/moving_mean:0"), "final_bn with beta"),
    "axes in another order": (transposed, r"3dconv3_1_x2 with kernel \(3, 3, 3, 4, 16\) in place of"),
    "another width": (
        lambda a: a.update({"bn_up1": {n: x[:-1] for n, x in a["bn_up1"].items()}}),
        r"bn_up1 with beta \(13,\)",
    ),
    "another kernel": (
        lambda a: a["conv1"].update({"conv1/kernel:0": np.ones((5, 5, 3, 8), np.float32)}),
        r"conv1 with kernel \(5, 5, 3, 8\)",
    ),
    "one channel of input": (
        lambda a: a["conv1"].update({"conv1/kernel:0": np.ones((7, 7, 1, 8), np.float32)}),
        r"conv1 with kernel \(7, 7, 1, 8\)",
    ),
    "names without a role": (
        lambda a: rename(a, "conv1_bn", lambda n: f"conv1_bn/param_{list(a['conv1_bn']).index(n)}"),
        "named kernel",
    ),
    "two of one role": (
        lambda a: rename(a, "conv1_scale", lambda n: n.replace("scale_beta", "scale_1_gamma")),
        "one gamma",
    ),
    "NaN": (lambda a: poison(a, "3dconv_up3", math.nan), "finite weights"),
    "infinity": (lambda a: poison(a, "conv2_1_x1_scale", -math.inf), "finite weights"),
    "a negative variance": (negative_variance, "variances of at least zero"),
    "an empty array": (
        lambda a: a["conv1"].update({"conv1/kernel:0": np.ones((7, 7, 3, 0), np.float32)}),
        "arrays of floating point numbers",
    ),
    "whole numbers": (
        lambda a: a["conv1"].update({"conv1/kernel:0": np.ones((7, 7, 3, 8), np.int32)}),
        "arrays of floating point numbers",
    ),
    "too large for single precision": (
        lambda a: a["final_bn"].update({"final_bn/beta:0": np.full(10, 1e300)}),
        "finite weights",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_layers_and_numbers_are_refused(tmp_path: Path, change: str) -> None:
    alter, told = CHANGES[change]
    arrays = narrow_arrays()
    alter(arrays)
    assert re.search(told, refusal(write(tmp_path / "changed.h5", arrays)))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(change: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return run


def replace(file: h5py.File, **new: object) -> None:
    del file["conv1/conv1/kernel:0"]
    file.create_dataset("conv1/conv1/kernel:0", **new)


def link(file: h5py.File, to: object) -> None:
    file["away"] = file["conv1/conv1/kernel:0"]
    del file["conv1/conv1/kernel:0"]
    file["conv1/conv1/kernel:0"] = to


def from_elsewhere(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((7, 7, 3, 8), "f4")
    layout[...] = h5py.VirtualSource("other.h5", "x", (7, 7, 3, 8))
    del file["conv1/conv1/kernel:0"]
    file.create_virtual_dataset("conv1/conv1/kernel:0", layout)


def damaged(file: h5py.File) -> None:
    """A compressed array whose checksum does not fit its bytes."""
    replace(file, data=np.ones((7, 7, 3, 8), np.float32), fletcher32=True, chunks=(7, 7, 3, 8))
    file["conv1/conv1/kernel:0"].id.write_direct_chunk((0, 0, 0, 0), b"?" * (7 * 7 * 3 * 8 * 4 + 4), 0)


EDITS: dict[str, tuple[Callable[[Path], None], str]] = {
    "half a file": (truncate, "undamaged HDF5 file"),
    "nothing": (lambda path: path.write_bytes(b""), "no HDF5 file"),
    "a pickle": (lambda path: path.write_bytes(b"\x80\x02}q\x00."), "no HDF5 file"),
    "no file": (lambda path: path.unlink(), "no file"),
    "a wrong checksum": (edit(damaged), "undamaged HDF5 file"),
    "HDF5 of something else": (edit(lambda f: [f.pop(n) for n in list(f)] + [f.attrs.clear()]), "keras_version"),
    "Keras 1": (edit(lambda f: f.attrs.create("keras_version", "1.2.2")), 'keras_version "1.2.2"'),
    "Theano": (edit(lambda f: f.attrs.create("backend", "theano")), 'backend "theano"'),
    "no list of layers": (edit(lambda f: f.attrs.pop("layer_names")), "a list layer_names"),
    "a list of numbers": (edit(lambda f: f["conv1"].attrs.create("weight_names", [1.0])), "a list weight_names"),
    "a text for a list": (edit(lambda f: f["conv1"].attrs.create("weight_names", "x")), "a list weight_names"),
    "a listed group that is missing": (edit(lambda f: f.pop("conv1_bn")), "cannot read"),
    "a listed array that is missing": (edit(lambda f: f.pop("conv1/conv1/kernel:0")), "lacks it"),
    "an array nobody lists": (edit(lambda f: f.create_dataset("conv1/x:0", data=[1.0])), "with 1 more: conv1/x:0"),
    "a soft link": (edit(lambda f: link(f, h5py.SoftLink("/away"))), "a link to another place"),
    "an external link": (edit(lambda f: link(f, h5py.ExternalLink("o.h5", "x"))), "a link to another place"),
    "numbers in another file": (
        edit(lambda f: replace(f, shape=(7, 7, 3, 8), dtype="f4", external=[("numbers", 0, 4704)])),
        "kept in the file",
    ),
    "a virtual array": (edit(from_elsewhere), "kept in the file"),
    "objects": (
        edit(lambda f: replace(f, data=["x"], dtype=h5py.string_dtype())),
        "arrays of floating point numbers",
    ),
    "a claim of 4 TB": (
        edit(lambda f: replace(f, shape=(10**4, 10**4, 10**2, 10**2), dtype="f4", chunks=(1, 1, 10, 10))),
        "at most 250,000,000 numbers",
    ),
}


@pytest.mark.parametrize("change", EDITS)
def test_other_files_are_refused(tmp_path: Path, narrow_file: Path, change: str) -> None:
    alter, told = EDITS[change]
    path = shutil.copy(narrow_file, tmp_path / "edited.h5")
    alter(path)
    assert told in refusal(path)
