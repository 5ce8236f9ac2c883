"""RISE.

Petsiuk, Das, Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018 (arXiv
1806.07421), equation 6 and section 3.2: the mean of random masks weighted by the probability of what they leave, over
the share of pixels they leave. Masks are coarse random grids, enlarged linearly and shifted by less than a cell. 7
cells along an edge, one half of them left and 4000 masks are the paper's; in the example of its code one tenth.

Masks are drawn by their number: every image gets the same ones, whatever batch it comes in.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pipelines.explain.baselines import Baseline, baseline_of
from pipelines.explain.method import Method, answers, at_once, by_copy
from pipelines.explain.targets import Target


class Rise(Method):
    """RISE: the probability left, averaged over the masks that show a pixel."""

    needs_gradients: ClassVar[bool] = False
    # Every pixel has at least what is left of the probability when other pixels are shown.
    from_lowest: ClassVar[bool] = True
    sparing: ClassVar[Mapping[str, int]] = {"masks": 500}

    masks: int = Field(default=4000, ge=1, description="random masks")
    cells: int = Field(default=7, ge=1, description="cells of a mask along an edge of the image")
    shown: float = Field(default=0.5, gt=0.0, lt=1.0, description="share of the cells that are left")
    baseline: Baseline = Field(default=0.0, description="what hidden pixels become: a value, minimum or blurred")
    seed: int = Field(default=0, ge=0)

    def drawn(self, mask: int, size: Sequence[int]) -> Tensor:
        """One mask, (*size) from 0, hidden, to 1, shown."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + mask)
        steps = [-(-extent // self.cells) for extent in size]  # Pixels of a cell, rounded up as in the authors' code.
        grid = (torch.rand([1, 1, *[self.cells + 1] * len(size)], generator=generator) < self.shown).float()
        enlarged = functional.interpolate(
            grid,
            size=[(self.cells + 1) * step for step in steps],
            mode="bilinear" if len(size) == 2 else "trilinear",
            align_corners=False,
        )[0, 0]
        shifts = [int(torch.randint(step, (1,), generator=generator)) for step in steps]
        return enlarged[tuple(slice(shift, shift + extent) for shift, extent in zip(shifts, size, strict=True))]

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        hidden = baseline_of(inputs, self.baseline)
        total = inputs.new_zeros((len(inputs), len(targets), *inputs.shape[2:]))
        step = max(at_once(inputs, self.batch, going_back=False) // len(inputs), 1)
        for first in range(0, self.masks, step):
            some = range(first, min(first + step, self.masks))
            masks = torch.stack([self.drawn(mask, inputs.shape[2:]) for mask in some]).to(inputs)  # (m, *size)
            copies = hidden + (inputs - hidden) * masks[:, None, None]  # (m, n, C, *size)
            outputs = answers(network, copies.flatten(0, 1), self.batch)
            images = rows.repeat(len(some))
            left = torch.stack([target.probabilities(outputs, images) for target in targets], dim=1)  # (m * n, T)
            total += torch.einsum("mnt,m...->nt...", by_copy(left, len(some)), masks)
        return total / (self.masks * self.shown)


METHOD = Rise
