"""A network with its weights, ready to run, and what holds for everything it says."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from datasets.errors import WeightsError
from networks.build import build
from networks.configs import NetworkConfig
from networks.inference import for_inference
from pipelines.ensemble import Ensemble, member_files, model_of
from pipelines.examination import Compute
from pipelines.model_store import Card, find_weights, is_folder, load_weights, read_card, untrained
from pipelines.results import FlagCode, ModelId, QualityFlag

# Random weights are the same ones every time, so that a run with them can be repeated.
_UNTRAINED_SEED = 0


@dataclass(frozen=True)
class LoadedNetwork:
    """A network that can be asked.

    Attributes:
        network: Rewritten for inference, on the device: it answers, and explains nothing.
        model: Which weights these are.
        flags: What holds for every result of these weights.
        card: What is known about them; None for untrained ones and files without a card.
    """

    network: nn.Module
    model: ModelId
    flags: tuple[QualityFlag, ...]
    card: Card | None = None


def load_network(config: NetworkConfig, weights: str | None, compute: Compute) -> LoadedNetwork:
    """Build a network and load its weights.

    Args:
        config: What to build.
        weights: Name of shipped weights or path of a file; a folder with the folds of a cross-validation, which answer
            together; None gives untrained ones, which the flags then say.
        compute: Where it is to run.

    Raises:
        WeightsError: The weights are not there or do not fit the network, or such a network is not asked together.
    """
    if weights is not None and is_folder(weights):
        if config.name == "h_dense_unet":
            got = f"the folds in {weights}"
            raise WeightsError("one file of weights for h_dense_unet, which is streamed", got, "name one of them")
        members = [_load_one(config, str(path), compute) for path in member_files(Path(weights))]
        flags = tuple(dict.fromkeys(flag for member in members for flag in member.flags))
        network = Ensemble([member.network for member in members])
        return LoadedNetwork(network, model_of([member.model for member in members]), flags, members[0].card)
    return _load_one(config, weights, compute)


def load_as_built(config: NetworkConfig, weights: str | None, device: str) -> nn.Module:
    """The network itself, not rewritten: gradients go through it, and its layers are those of the paper.

    Args:
        config: What to build.
        weights: As for `load_network`, but one file.
        device: Where it is to run.

    Raises:
        WeightsError: The weights are not there or do not fit the network, or are the folds of a cross-validation.
    """
    network = build(config, seed=_UNTRAINED_SEED)
    if weights is not None:
        if is_folder(weights):
            raise WeightsError("one file of weights, to explain what it says", f"the folds in {weights}", "name one")
        load_weights(network, config, find_weights(weights))
    return network.to(device=device).eval()


def _load_one(config: NetworkConfig, weights: str | None, compute: Compute) -> LoadedNetwork:
    network = build(config, seed=_UNTRAINED_SEED)
    model = untrained()
    flags: tuple[QualityFlag, ...] = _UNTRAINED_FLAGS
    card = None
    if weights is not None:
        path = find_weights(weights)
        model = load_weights(network, config, path)
        card = read_card(path)
        flags = _PHANTOM_FLAGS if card is not None and card.phantom else ()
        if card is not None and card.drawn_anew:
            flags = (*flags, *_UNTRAINED_FLAGS)
    dtype = torch.bfloat16 if compute.precision == "bf16" else None
    return LoadedNetwork(for_inference(network.to(device=compute.device), dtype), model, flags, card)


_UNTRAINED_FLAGS = (
    QualityFlag(
        code=FlagCode.UNTRAINED_WEIGHTS,
        severity="error",
        message="the network has random weights, wholly or in part: nothing it says about this study means anything",
    ),
)
_PHANTOM_FLAGS = (
    QualityFlag(
        code=FlagCode.PHANTOM_WEIGHTS,
        severity="warning",
        message="these weights were trained on computer-made phantoms only and are not meant for patients",
    ),
)
