"""Saliency maps.

Simonyan, Vedaldi, Zisserman, "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency
Maps", 2013 (arXiv 1312.6034), section 3.1: max over channels of the absolute gradient of the class's logit.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from pipelines.explain.input_gradients import input_gradients, strongest
from pipelines.explain.method import Method
from pipelines.explain.targets import Target


class Saliency(Method):
    """Saliency: where a small change would change most, whether for or against the target."""

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        return strongest(input_gradients(network, inputs, targets, rows))


METHOD = Saliency
