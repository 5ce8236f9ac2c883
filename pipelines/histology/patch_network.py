"""Asking a patch classifier: pixels as its weights expect them in, probabilities of tumour out."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.errors import WeightsError
from networks.configs import Input
from pipelines.examination import Compute, Network
from pipelines.histology.light import Floats, Pixels
from pipelines.patch_input import as_input


@dataclass(frozen=True)
class PatchNetwork:
    """A patch classifier that is ready to be asked.

    Attributes:
        network: (N, 3, H, W) to logits (N, 1), of tumour, or (N, 2), of none and tumour.
        input: What pixels its weights expect.
        compute: Where it runs.
    """

    network: Network
    input: Input
    compute: Compute

    def probabilities(self, pixels: Pixels) -> Floats:
        """Probability of tumour of each patch, the network's own.

        Args:
            pixels: uint8 (n, patch_px, patch_px, 3).

        Returns:
            (n,) float32.

        Raises:
            WeightsError: The network gives NaN.
        """
        with torch.inference_mode():
            logits = self.network(as_input(pixels, self.input).to(self.compute.device)).float()
            tumor = torch.sigmoid(logits[:, 0]) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)[:, 1]
        found: Floats = tumor.cpu().numpy()
        _check(found)
        return found


def refined(network: Network, raw: Floats, looked: NDArray[np.bool_], compute: Compute) -> Floats:
    """The map of a patch classifier, seen as a picture by a second network.

    Args:
        network: (1, 2, rows, columns), probability and where there is one, to logits (1, 1, rows, columns).
        raw: (rows, columns), probabilities; what they are where nothing is known does not matter.
        looked: Where they are known.
        compute: Where the network runs.

    Returns:
        (rows, columns) probabilities, NaN where nothing is known.

    Raises:
        WeightsError: The network gives NaN.
    """
    seen = np.stack((np.where(looked, raw, 0.0), looked)).astype(np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(seen[np.newaxis]).to(compute.device)).float()
    said: Floats = torch.sigmoid(logits[0, 0]).cpu().numpy()
    _check(said)
    return np.where(looked, said, np.float32(np.nan))


def _check(probabilities: Floats) -> None:
    # Comparisons with NaN are false: undetected, it would pass for a negative.
    if np.isnan(probabilities).any():
        raise WeightsError("finite probabilities", "NaN", "check weights and input; try precision fp32")
