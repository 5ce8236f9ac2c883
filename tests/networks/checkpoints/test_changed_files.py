"""Changed files, and files of another network: refused with what is wrong, never filled up."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.networks.nets.densenet import DenseNet as MonaiDenseNet
from torch import Tensor, nn

from networks.checkpoints.imported import CheckpointRefused
from networks.checkpoints.importing import import_checkpoint
from tests.networks.checkpoints.foreign_networks import (
    WIDTHS,
    CheXNet,
    KimiaNet,
    TorchvisionDenseNet,
    TorchXRayVision,
    in_parallel,
    old_names,
    torch_file,
)


@pytest.fixture(scope="module")
def published() -> dict[str, dict[str, Tensor]]:
    """One file's tensors per layout; a single number stands for all of a tensor, so that files are small."""
    whole = {
        "densenet121": TorchvisionDenseNet(WIDTHS[121]).state_dict(),
        "chexnet": in_parallel(old_names(CheXNet().state_dict())),
        "kimianet": in_parallel(KimiaNet().state_dict()),
        "torchxrayvision": TorchXRayVision(torch.rand(18)).state_dict(),
        "densenet": MonaiDenseNet(2, 3, 2, 8, 4, (2, 3, 2, 2)).state_dict(),
    }
    return {
        network: {name: torch.ones((), dtype=t.dtype).expand(t.shape) for name, t in state.items()}
        for network, state in whole.items()
    }


def _drop(state: dict[str, Tensor], name: str) -> str:
    del state[name]
    return r"1 missing \(features\.|1 missing \(classifier\."


def _add(state: dict[str, Tensor], name: str) -> str:
    state["module.extra" if name.startswith("module.") else "extra"] = torch.zeros(3)
    return r"1 left over \((module\.)?extra\)"


def _reshape(state: dict[str, Tensor], name: str) -> str:
    state[name] = torch.zeros(*state[name].shape, 2)
    return r"1 of another shape \(\S+ \(.*2\) for \(|a stem of shape .*, 2\)"


def _spoil(state: dict[str, Tensor], name: str) -> str:
    state[name] = torch.full_like(state[name], math.nan)
    return "finite"


STATISTICS, LAYER, STEM = r"block2.*layer2.*norm.?1.running_mean", r"block1.*layer1.*conv.?2.weight", "conv0.weight"
HEAD = r"(fc_4|classifier\.0|classifier|out)\.bias"
CHANGES = (_drop, _add, _reshape, _spoil)
FULL = ("densenet121", "chexnet", "kimianet", "torchxrayvision")


@pytest.mark.parametrize(
    ("network", "change", "place"),
    [
        *(("densenet", change, place) for change in CHANGES for place in (STATISTICS, LAYER, STEM, HEAD)),
        *((network, change, STATISTICS) for network in FULL for change in CHANGES),
        *((network, _drop, HEAD) for network in FULL),
    ],
)
def test_a_changed_file_is_refused(
    published: dict[str, dict[str, Tensor]],
    network: str,
    change: Callable[[dict[str, Tensor], str], str],
    place: str,
    tmp_path: Path,
) -> None:
    state = dict(published[network])
    name = next(name for name in state if re.search(place, name))
    told = change(state, name)
    with pytest.raises(CheckpointRefused, match=r"expected .*; got .*; ") as refused:
        import_checkpoint(torch_file(state, tmp_path / "changed.pth"), network)
    assert re.search(told, str(refused.value)), str(refused.value)
    assert "\n" not in str(refused.value)


def test_one_place_cannot_be_taken_twice(published: dict[str, dict[str, Tensor]], tmp_path: Path) -> None:
    for network in FULL:
        state = dict(published[network])
        name = next(name for name in state if "norm1.bias" in name or "norm.1.bias" in name)
        other = name.replace("norm.1.", "norm1.") if "norm.1." in name else name.replace("norm1.", "norm.1.")
        state[other] = state[name]
        with pytest.raises(CheckpointRefused, match=rf"1 left over \({other}\)"):
            import_checkpoint(torch_file(state, tmp_path / "twice.pth"), network)


def test_some_counters_are_neither_all_nor_none(published: dict[str, dict[str, Tensor]], tmp_path: Path) -> None:
    state = dict(published["densenet121"])
    del state["features.norm0.num_batches_tracked"]
    with pytest.raises(CheckpointRefused, match=r"1 missing \(features\.norm0\.num_batches_tracked\)"):
        import_checkpoint(torch_file(state, tmp_path / "a.pth"), "densenet121")


def test_a_file_of_another_network_is_refused_with_what_it_looks_like(
    published: dict[str, dict[str, Tensor]], tmp_path: Path
) -> None:
    takes = {"chexnet": {"chexnet"}, "kimianet": {"kimianet"}, "torchxrayvision": {"torchxrayvision"}}
    takes |= {"densenet121": {"densenet121", "densenet"}, "densenet": {"densenet"}}
    for of, state in published.items():
        path = torch_file(state, tmp_path / f"{of}.pth")
        for network in sorted({*FULL, "densenet169", "dense_unet_167", "h_dense_unet"} - takes[of]):
            with pytest.raises(CheckpointRefused) as refused:
                import_checkpoint(path, network)
            assert f"use --as {of}" in refused.value.advice, (of, network)


def test_what_is_no_densenet_is_refused(tmp_path: Path) -> None:
    path = torch_file(nn.Linear(2, 2).state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointRefused, match=r"2 tensors \(weight, bias, …\) are of no layout"):
        import_checkpoint(path, "densenet121")
    with pytest.raises(CheckpointRefused, match="one of the networks densenet121"):
        import_checkpoint(path, "resnet50")
