"""Randomisation of weights: a map that looks the same whatever the network has learnt explains nothing of it.

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, "Sanity Checks for Saliency Maps", NeurIPS 2018 (arXiv 1810.03292),
section 3.1: weights are randomised from the head downwards, and maps should lose what they had. How much two maps have
in common anyway, of unrelated images, stands beside it, as in Arun et al., "Assessing the Trustworthiness of Saliency
Maps for Localizing Abnormalities in Medical Imaging", Radiology: Artificial Intelligence 3(6), 2021.

Weights are randomised by putting those of each layer in another order, drawn at random: their distribution, and with it
the size of what the layers give, stays as it was, which weights drawn anew would change beside normalisations whose
statistics are kept.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.explain.method import Method
from pipelines.explain.similarity import rank_correlation
from pipelines.explain.targets import Target


@dataclass(frozen=True)
class Sensitivity:
    """What maps keep while weights are randomised.

    Attributes:
        by_stage: (stages, N, T), mean rank correlation with the map of the network as it is, over the draws; the head
            alone first, all weights last.
        unrelated: (N, T), mean rank correlation with maps of other images.
    """

    by_stage: Tensor
    unrelated: Tensor

    @property
    def kept(self) -> Tensor:
        """(N, T), mean over the stages."""
        return self.by_stage.mean(dim=0)


def layers_from_the_head(network: nn.Module, inputs: Tensor) -> list[str]:
    """Names of the layers that have weights, the last that is asked first, as seen with one of inputs (N, C, *size)."""
    names: list[str] = []
    handles = []

    def noting(name: str) -> Any:
        return lambda _module, _given, _answer: names.append(name)

    for name, module in network.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            handles.append(module.register_forward_hook(noting(name)))
    try:
        with torch.no_grad():
            network(inputs[:1])
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(reversed(names)))


def randomised(network: nn.Module, layers: Sequence[str], seed: int) -> nn.Module:
    """A copy of a network with the weights of some layers in an order drawn at random.

    Factors and shifts of a normalisation stay together; statistics are left as they are.
    """
    copied = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in layers:
            together: dict[int, Tensor] = {}
            for parameter in copied.get_submodule(name).parameters(recurse=False):
                count = parameter.numel()
                if parameter.ndim > 1 or count not in together:
                    together[count] = torch.randperm(count, generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[together[count]].reshape(parameter.shape))
    return copied


@dataclass(frozen=True)
class Cascade:
    """How thoroughly weights are randomised.

    Attributes:
        shares: Of the layers, counted from the head; 0 is the last layer alone, 1 all of them.
        draws: Random orders of each.
        seed: Of the first draw.
    """

    shares: tuple[float, ...] = (0.0, 0.5, 1.0)
    draws: int = 2
    seed: int = 0


def sensitivity(
    method: Method,
    network: nn.Module,
    inputs: Tensor,
    targets: Sequence[Target],
    maps: Tensor,
    plan: tuple[Cascade, int],
) -> Sensitivity:
    """Explain with randomised copies of a network and compare.

    Args:
        method: What explains.
        network: As it is, with the layers it was built of.
        inputs: (N, C, *size).
        targets: Settled by the network as it is: lesions stay where they were.
        maps: (N, T, *size), of the network as it is.
        plan: The cascade, and the edge of a cell in pixels.
    """
    cascade, cell = plan
    layers = layers_from_the_head(network, inputs)
    flat = maps.flatten(0, 1)
    stages = []
    for share in cascade.shares:
        some = layers[: max(round(share * len(layers)), 1)]
        kept = []
        for draw in range(cascade.draws):
            asked = method.quickest(randomised(network, some, cascade.seed + draw))
            other = method.explain(asked, inputs, targets).flatten(0, 1)
            kept.append(rank_correlation(other, flat, cell))
        stages.append(torch.stack(kept).mean(dim=0))
    shape = maps.shape[:2]
    return Sensitivity(
        torch.stack(stages).reshape(len(stages), *shape), _unrelated(method, network, inputs, targets, maps, cell)
    )


def _unrelated(
    method: Method, network: nn.Module, inputs: Tensor, targets: Sequence[Target], maps: Tensor, cell: int
) -> Tensor:
    """(N, T): with the maps of the other images, or of the same one mirrored where there are no others."""
    if len(maps) > 1:
        others = [maps.roll(shift, dims=0) for shift in range(1, min(len(maps), 9))]
    else:
        # Targets that are places stay where they are, and so does what else there is of the image's layout.
        axes = range(2, inputs.ndim)
        asked = method.quickest(network)
        others = [method.explain(asked, inputs.flip(axis), targets) for axis in axes]
    found = [rank_correlation(other.flatten(0, 1), maps.flatten(0, 1), cell) for other in others]
    return torch.stack(found).mean(dim=0).reshape(maps.shape[:2])
