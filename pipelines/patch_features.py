"""What a DenseNet sees in a patch: the numbers by which patches are called alike.

As KimiaNet has it (Riasatian et al., "Fine-Tuning and training of densenet for histopathology image representation
using TCGA diagnostic slides", Medical Image Analysis 70, 2021): the mean over places of what the last normalisation
gives, before any ReLU, which is where both samples in the authors' repository pool. 1024 numbers for DenseNet-121.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from datasets.errors import WeightsError
from networks.build import build
from networks.configs import DenseNetConfig, Input
from networks.densenet import DenseNet
from pipelines.histology.light import Pixels
from pipelines.model_store import find_weights, load_weights, read_card
from pipelines.patch_input import IMAGENET, as_input
from pipelines.results import ModelId

# A trunk of four blocks halves five times.
SMALLEST_PX = 32
_BATCH = 64


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A DenseNet that is asked what it sees and not what it concludes.

    Attributes:
        network: As built, in eval mode: layers that are rewritten for inference have other maps inside.
        model: Which weights these are.
        expected: What pixels they expect.
        device: Where it runs.
    """

    network: DenseNet
    model: ModelId
    expected: Input
    device: str = "cpu"

    @classmethod
    def load(cls, weights: str, device: str = "cpu") -> "FeatureNetwork":
        """Load the weights of a DenseNet for colour pictures, our own or imported.

        Args:
            weights: Name of shipped weights or path of a file, which says itself what network it is for.
            device: "cpu", "cuda" or "cuda:N".

        Raises:
            WeightsError: The weights are not there, damaged, or of a network without such features.
        """
        path = find_weights(weights)
        config = _densenet(path)
        network = build(config)
        model = load_weights(network, config, path)
        card = read_card(path)
        expected = card.input if card is not None and card.input is not None else IMAGENET
        if not isinstance(network, DenseNet):  # The type of what `build` gives, for the type checker.
            raise WeightsError("a DenseNet", type(network).__name__, "choose other weights")
        return cls(network.eval().to(device), model, expected, device)

    @property
    def width(self) -> int:
        """How many numbers describe a patch."""
        return self.network.features.out_channels

    def features(self, pixels: Pixels) -> NDArray[np.float32]:
        """What is seen in patches.

        Args:
            pixels: (N, H, W, 3) uint8, RGB, of any size from 32 x 32 on.

        Returns:
            (N, width), each of length 1, so that the product of two is their cosine; (0, width) for no patches.

        Raises:
            ValueError: The patches are smaller.
        """
        if pixels.ndim != 4 or pixels.shape[3] != 3 or min(pixels.shape[1:3]) < SMALLEST_PX:
            raise ValueError(f"expected (N, H, W, 3) from {SMALLEST_PX} x {SMALLEST_PX} pixels on, got {pixels.shape}")
        seen = np.empty((len(pixels), self.width), np.float32)
        with torch.inference_mode():
            for start in range(0, len(pixels), _BATCH):
                inputs = as_input(pixels[start : start + _BATCH], self.expected).to(self.device)
                maps = self.network.features(inputs)  # (n, width, H / 32, W / 32)
                pooled = torch.nn.functional.normalize(maps.mean(dim=(2, 3)), dim=1)
                seen[start : start + _BATCH] = pooled.cpu().numpy()
        return seen


def _densenet(path: Path) -> DenseNetConfig:
    """The network a file says it is for."""
    advice = (
        "choose weights of a 2D DenseNet for colour pictures, such as histopathology_phantom or an imported KimiaNet"
    )
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {}).get("network", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError("a whole safetensors file", f"{path.name}: {error}", "fetch or make it again") from error
    name = told.get("name") if isinstance(told, dict) else "no network's name"
    if name != "densenet":
        raise WeightsError("weights of a DenseNet", f"{name} in {path.name}", advice)
    try:
        config = DenseNetConfig.model_validate(told)
    except ValidationError as error:
        raise WeightsError(
            "the network a file was made for, in it", f"{path.name}: {error}", "make it again"
        ) from error
    if (config.spatial_dims, config.in_channels) != (2, 3):
        got = f"{config.spatial_dims}D with {config.in_channels} channels in {path.name}"
        raise WeightsError("weights for colour pictures", got, advice)
    return config
