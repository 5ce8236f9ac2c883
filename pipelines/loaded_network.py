"""A network with its weights, ready to run, and what holds for everything it says."""

from dataclasses import dataclass

import torch
from torch import nn

from networks.build import build
from networks.configs import NetworkConfig
from networks.inference import for_inference
from pipelines.examination import Compute
from pipelines.model_store import Card, find_weights, load_weights, read_card, untrained
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
        weights: Name of shipped weights or path of a file; None gives untrained ones, which the flags then say.
        compute: Where it is to run.

    Raises:
        WeightsError: The weights are not there or do not fit the network.
    """
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
