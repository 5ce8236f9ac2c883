"""Class activation mapping.

Zhou, Khosla, Lapedriza, Oliva, Torralba, "Learning Deep Features for Discriminative Localization", CVPR 2016 (arXiv
1512.04150), equation 2: sum_k w_k A_k with the class's row w of a linear head behind means over maps. Only such
classifiers have one. The maps are those the head pools, thus after the last ReLU where the network has one there.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from pipelines.explain.evidence import Evidence, recording
from pipelines.explain.method import Method
from pipelines.explain.targets import Target


class Cam(Method):
    """CAM; negative where a place speaks against the class."""

    needs_gradients: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    singles_out: ClassVar[bool] = False

    @staticmethod
    def coarse(evidence: Evidence) -> Tensor:
        """(N, T, *cells): the gradient of a mean is a share of the weight, so cells times gradient is the weight."""
        return evidence.weighted(evidence.gradients * evidence.maps[0, 0].numel())

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        with recording(network) as record:
            network(inputs)
        evidence = record.evidence(targets)
        return evidence.on_inputs(self.coarse(evidence), inputs.shape[2:])


METHOD = Cam
