"""Files that are no checkpoints, damaged ones, and those that would run code: refused with the reason, never opened."""

import io
import os
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from networks.checkpoints.files import read_checkpoint
from networks.checkpoints.imported import CheckpointRefused

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def refused(path: Path) -> CheckpointRefused:
    with pytest.raises(CheckpointRefused) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert caught.value.advice
    return caught.value


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.pth.tar", "a.bin"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
def test_what_torch_writes(name: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    torch.save(OrderedDict(STATE), path, _use_new_zipfile_serialization=zipped)
    file = read_checkpoint(path)
    assert list(file.tensors) == list(STATE)
    assert all(torch.equal(file.tensors[key], tensor) for key, tensor in STATE.items())
    assert (file.settings, dict(file.beside)) == (None, {})


def test_safetensors_with_the_settings_of_our_files(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors", metadata={"network": '{"name": "unet"}'})
    file = read_checkpoint(tmp_path / "a.safetensors")
    assert file.settings == {"name": "unet"}
    assert torch.equal(file.tensors["a.weight"], STATE["a.weight"])
    for told in ("{", "3"):
        save_file(STATE, tmp_path / "a.safetensors", metadata={"network": told})
        assert "settings of a network" in refused(tmp_path / "a.safetensors").expected


@pytest.mark.parametrize("key", ["state_dict", "model", "ema"])
def test_weights_within_a_checkpoint(key: str, tmp_path: Path) -> None:
    document = {"epoch": 3, "best_loss": np.float64(0.25), "loss": torch.tensor(0.5), key: STATE, "args": {"lr": 0.1}}
    document["optimizer"] = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}
    torch.save(document, tmp_path / "a.pth")
    file = read_checkpoint(tmp_path / "a.pth")
    assert list(file.tensors) == list(STATE)
    assert file.beside["best_loss"] == 0.25


def test_parameters_are_tensors_and_come_alone(tmp_path: Path) -> None:
    torch.save({"a": nn.Parameter(torch.ones(2)), "epoch": 3}, tmp_path / "a.pth")
    file = read_checkpoint(tmp_path / "a.pth")
    assert not file.tensors["a"].requires_grad
    assert file.beside == {"epoch": 3}


def test_two_networks_in_one_file_are_one_too_many(tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "ema": STATE}, tmp_path / "a.pth")
    assert "state_dict, ema" in refused(tmp_path / "a.pth").got


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, torch.ones(2), {3: torch.ones(2)}], ids=str)
def test_no_tensors_by_name(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    assert refused(tmp_path / "a.pth").expected == "tensors by name"


def test_tensors_that_are_not_plain(tmp_path: Path) -> None:
    for tensor in (torch.eye(2).to_sparse(), torch.ones(2, dtype=torch.complex64)):
        torch.save({"a": tensor}, tmp_path / "a.pth")
        assert refused(tmp_path / "a.pth").expected == "plain tensors"


class Bomb:
    """What a pickle can do when it is opened carelessly."""

    def __reduce__(self):
        return (os.mkdir, ("exploded",))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
def test_a_pickle_that_runs_code_is_refused_by_what_it_wants(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for content, wanted in (
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),  # a whole model, as torchxrayvision's releases are
        ({"state_dict": STATE, "hook": Bomb()}, os.mkdir.__module__),
    ):
        torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        refusal = refused(tmp_path / "a.pth")
        assert wanted in refusal.got
        assert "model.state_dict()" in refusal.advice
    assert not Path("exploded").exists()


def test_torchscript_is_refused(tmp_path: Path) -> None:
    # An archive is one when it has this member; torch need not be asked to write one, which it deprecates.
    torch.save(STATE, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt", "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/constants.pkl", b"\x80\x02).")
    assert "TorchScript" in refused(tmp_path / "a.pt").got


def _tar() -> bytes:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("pickle"))
        return file.getvalue()


def _zip() -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("readme.txt", "hello")
        return file.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML page"),
        (b"\n  <html lang='en'>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (b"\x1f\x8b\x08" + bytes(100), "a gzip archive"),
        (_tar(), "a tar archive"),
        (_zip(), "damaged"),
        (b'{"error": "not found"}', "a file of unknown kind"),
        (bytes(1000), "a file of unknown kind"),
        (b"\x80\x02}q\x00.", "a whole file written by torch.save"),
        (b"\x80", "damaged"),
    ],
)
def test_what_is_no_checkpoint(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pth.tar"
    path.write_bytes(content)
    assert told in str(refused(path))


def test_endings_and_contents_must_agree(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.pth")
    torch.save(STATE, tmp_path / "a.safetensors")
    assert refused(tmp_path / "a.pth").advice == "name it .safetensors"
    assert "name it .pth" in refused(tmp_path / "a.safetensors").advice
    torch.save(STATE, tmp_path / "a.onnx")
    assert "a file of weights (.safetensors, .pt" in refused(tmp_path / "a.onnx").expected


def test_missing_files_and_folders(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.pth").got
    assert "directory" in refused(tmp_path).got


@pytest.mark.parametrize("name", ["a.pth", "b.pth", "a.safetensors"])
def test_damaged_files_are_refused_or_read_and_never_more(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "a.safetensors":
        save_file(STATE, path)
    else:
        torch.save({"state_dict": STATE}, path, _use_new_zipfile_serialization=name == "a.pth")
    whole = path.read_bytes()
    for cut in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:cut])
        refused(path)
    generator = np.random.default_rng(0)
    for _ in range(300):
        spoiled = bytearray(whole)
        for place in generator.integers(0, len(whole), 3):
            spoiled[place] = generator.integers(0, 256)
        path.write_bytes(spoiled)
        try:
            read_checkpoint(path)  # numbers within tensors, or padding, may have changed
        except CheckpointRefused as refusal:
            assert "\n" not in str(refusal)  # noqa: PT017 - some of these files are sound
