"""Deletion and insertion: whether what a map calls important is what the network needs.

Petsiuk, Das, Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018 (arXiv
1806.07421), section 4.2: pixels are taken away from the most important on, or put onto an empty image, and the area
under the probability is low, or high, for a map that is right. How low depends on network and image, so orders drawn at
random stand beside it.

Pixels are taken by cells, squares of them, in the order of the mean of the map over each (Samek, Binder, Montavon,
Lapuschkin, Müller, "Evaluating the Visualization of What a Deep Neural Network Has Learned", IEEE TNNLS 28, 2017, uses
regions of 9 x 9): single pixels at random places are noise that networks have never seen, beside which every map with
an even surface looks good, or bad. Cells of one pixel are the figure of RISE. Maps in pixels and maps in coarse cells
are judged on the same grid then, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.explain.method import answers, at_once, pieces
from pipelines.explain.targets import Target

# A shuffle that is the same for every map decides between cells that are equally important, such as all those where a
# rectified map is 0; their order on the grid would be an order of its own.
_TIES_SEED = 20_231


@dataclass(frozen=True)
class Curves:
    """Probabilities while cells are taken away, and while they are put back.

    Attributes:
        deletion: (orders, steps + 1), from the whole image to the empty one.
        insertion: (orders, steps + 1), the other way.
    """

    deletion: Tensor
    insertion: Tensor

    @property
    def deletion_auc(self) -> Tensor:
        """(orders,), area under deletion over its width: lower is better."""
        return area(self.deletion)

    @property
    def insertion_auc(self) -> Tensor:
        """(orders,), area under insertion over its width: higher is better."""
        return area(self.insertion)


@dataclass(frozen=True)
class Plan:
    """How finely curves are drawn.

    Attributes:
        cell: Edge of a cell in pixels; 1 is the figure of RISE.
        steps: Into how many equal parts the cells are taken.
    """

    cell: int
    steps: int

    def steps_of(self, cells: int) -> list[int]:
        """How many cells are gone after each step, from none to all."""
        steps = min(self.steps, cells)
        return [round(cells * step / steps) for step in range(steps + 1)]


def area(curve: Tensor) -> Tensor:
    """Area under curves (..., steps + 1) by trapezia, over their width: (...)."""
    return (curve[..., 1:] + curve[..., :-1]).sum(dim=-1) / (2 * (curve.shape[-1] - 1))


def cell_means(maps: Tensor, cell: int) -> Tensor:
    """Means of maps (N, *size) over squares of `cell` pixels, cut off at the far edges: (N, *cells)."""
    pool = functional.avg_pool2d if maps.ndim == 3 else functional.avg_pool3d
    edges = [min(cell, extent) for extent in maps.shape[1:]]
    # Padding that is not counted makes the last cells means of the pixels that there are.
    missing = [-extent % edge for extent, edge in zip(maps.shape[1:], edges, strict=True)]
    far_ends = [amount for axis in reversed(missing) for amount in (0, axis)]
    there = functional.pad(torch.ones_like(maps[:1]), far_ends)[:, None]
    total = functional.pad(maps, far_ends)[:, None]
    return (pool(total, edges) / pool(there, edges))[:, 0]


def order_of(means: Tensor) -> Tensor:
    """Cells from the most important on, as their numbers: (*cells) to (cells,)."""
    flat = means.flatten()
    shuffle = random_order(len(flat), _TIES_SEED)
    return shuffle[torch.argsort(flat[shuffle], descending=True, stable=True)]


def random_order(cells: int, seed: int) -> Tensor:
    """Cells in an order drawn at random, (cells,)."""
    return torch.randperm(cells, generator=torch.Generator().manual_seed(seed))


def curves(
    network: nn.Module,
    image: Tensor,
    empty: Tensor,
    targets: tuple[Sequence[Target], int],
    orders: Sequence[Tensor],
    plan: Plan,
) -> list[Curves]:
    """Take cells of an image away, and put them back, in several orders.

    Args:
        network: In evaluation mode.
        image: (C, *size).
        empty: (C, *size), what is left when all is taken away.
        targets: Settled; and the number of the image in them.
        orders: Of cells, each (cells,).
        plan: Cells and steps.

    Returns:
        Curves of each target.
    """
    size = image.shape[1:]
    cells = cell_means(image[:1], plan.cell).shape[1:]
    steps = plan.steps_of(cells.numel())
    copies = []
    for order in orders:
        rank = torch.empty(len(order), dtype=torch.long)
        rank[order] = torch.arange(len(order))
        ranks = enlarged(rank.reshape(cells), size, plan.cell)  # How many cells go before that of each pixel.
        copies += [ranks < taken for taken in steps]
    first = torch.stack(copies).to(image.device)  # (orders * (steps + 1), *size)
    shape = (len(targets[0]), len(orders), len(steps))
    deletion, insertion = (
        _probabilities(network, first, over, under, targets, plan).reshape(shape)
        for over, under in ((empty, image), (image, empty))
    )
    return [Curves(gone, put) for gone, put in zip(deletion, insertion, strict=True)]


def _probabilities(
    network: nn.Module, first: Tensor, over: Tensor, under: Tensor, targets: tuple[Sequence[Target], int], plan: Plan
) -> Tensor:
    """(targets, n) of images that are `over` where `first` (n, *size) is true, and `under` elsewhere."""
    chosen, number = targets
    said = []
    for piece in pieces(len(first), at_once(under[None], None, going_back=False)):
        shown = torch.where(first[piece][:, None], over, under)  # (n, C, *size)
        rows = torch.full((len(shown),), number, device=first.device)
        outputs = answers(network, shown)
        said.append(torch.stack([target.probabilities(outputs, rows) for target in chosen]))
    return torch.cat(said, dim=1).double().cpu()


def enlarged(values: Tensor, size: Sequence[int], cell: int) -> Tensor:
    """What is known of cells (*cells), for each of their pixels (*size)."""
    for axis, extent in enumerate(size):
        values = values.repeat_interleave(min(cell, extent), dim=axis).narrow(axis, 0, extent)
    return values
