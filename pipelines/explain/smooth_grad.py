"""SmoothGrad.

Smilkov, Thorat, Kim, Viégas, Wattenberg, "SmoothGrad: removing noise by adding noise", 2017 (arXiv 1706.03825), section
3: the mean of saliency maps of noisy copies, sigma a share of the image's range. 25 copies and 0.15 are MONAI's; the
paper looks at 10 to 20 per cent and up to 50 copies.

Noise is drawn by the number of the copy, not passed along: every image gets the same, times its own range, whatever
batch it comes in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from pipelines.explain.input_gradients import input_gradients, strongest
from pipelines.explain.method import Method, at_once, by_copy
from pipelines.explain.targets import Target


class SmoothGrad(Method):
    """SmoothGrad."""

    sparing: ClassVar[Mapping[str, int]] = {"samples": 8}

    samples: int = Field(default=25, ge=1, description="noisy copies of each image")
    noise: PositiveFloat = Field(default=0.15, description="deviation, as a share of the range of the image's values")
    mean_of: Literal["gradients", "magnitudes"] = Field(
        default="gradients",
        description="gradients: their mean, then its absolute value (the paper); magnitudes: the other way round",
    )
    seed: int = Field(default=0, ge=0)

    def drawn(self, sample: int, shape: Sequence[int]) -> Tensor:
        """The noise of one copy, (C, *size), standard normal."""
        return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(self.seed * 1_000_003 + sample))

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        spread = self.noise * (inputs.flatten(1).amax(dim=1) - inputs.flatten(1).amin(dim=1))  # (n,)
        total = inputs.new_zeros((len(inputs), len(targets), *inputs.shape[1:]))  # (n, T, C, *size)
        for samples in self._pieces(inputs):
            noise = torch.stack([self.drawn(sample, inputs.shape[1:]) for sample in samples]).to(inputs)
            scaled = noise[:, None] * spread.reshape(1, -1, *[1] * (inputs.ndim - 1))  # (s, n, C, *size)
            copies = (inputs[None] + scaled).flatten(0, 1)  # (s * n, C, *size)
            gradients = input_gradients(network, copies, targets, rows.repeat(len(samples)))
            if self.mean_of == "magnitudes":
                gradients = gradients.abs()
            total += by_copy(gradients, len(samples)).sum(dim=0)
        return strongest(total / self.samples)

    def _pieces(self, inputs: Tensor) -> Iterator[range]:
        """The numbers of the copies, as many at once as fit beside one another."""
        step = max(at_once(inputs, self.batch, going_back=True) // len(inputs), 1)
        for start in range(0, self.samples, step):
            yield range(start, min(start + step, self.samples))


METHOD = SmoothGrad
