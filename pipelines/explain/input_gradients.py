"""Gradients of targets with respect to the inputs: what saliency maps, their averages and integrals are made of."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipelines.explain.targets import Target


def input_gradients(network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
    """Gradients of every target's score, from one forward pass.

    Args:
        network: In evaluation mode; best frozen, so that nothing is kept for gradients of its parameters.
        inputs: (M, C, *size).
        targets: Settled.
        rows: (M,), of which images these are copies.

    Returns:
        (M, targets, C, *size).
    """
    leaf = inputs.detach().requires_grad_()
    with torch.enable_grad():
        outputs = network(leaf)
        # The copies of a batch do not meet in the network, so the gradient of their sum is that of each.
        scores = [target.scores(outputs, rows).sum() for target in targets]
        del outputs
    gradients = [
        torch.autograd.grad(score, leaf, retain_graph=index + 1 < len(scores))[0] for index, score in enumerate(scores)
    ]
    return gradients[0][:, None] if len(gradients) == 1 else torch.stack(gradients, dim=1)


def strongest(gradients: Tensor) -> Tensor:
    """The largest absolute value over channels, as saliency maps are shown: (M, T, C, *size) to (M, T, *size)."""
    return gradients.abs().amax(dim=2)
