"""A stem for one channel out of a stem for three.

A grey image shown to a network of colours stands in all channels alike, so its first convolution sums over them: the
kernel for one channel is the SUM of the three, not their mean, which would reach the normalisation behind it three
times too small, and that one has fixed statistics in evaluation.

With a mean m_c and a standard deviation s_c per channel, a channel holds (g - m_c) / s_c for the grey value g. One
channel holds z = (g - m) / s, with m and s the means of theirs. Then (g - m_c) / s_c = z s / s_c + (m - m_c) / s_c: the
kernel is the sum of w_c s / s_c, and what is left is a constant per output map, the sum of all of w_c (m - m_c) / s_c,
which the running mean of the normalisation takes up.

That is exact wherever the kernel lies inside the image. Where it reaches over the edge the zeros of the padding carry
no constant: there, two outputs of the stem deep on a side (a 7x7 kernel of stride 2), maps differ a little. Where all
channels have the same mean and standard deviation, or none is known, nothing is left over and it is exact everywhere.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from networks.checkpoints.imported import CheckpointRefused
from networks.configs import Input


@dataclass(frozen=True)
class GreyStem:
    """The tensors that change, and how.

    Attributes:
        kernel: (out, 1, *size).
        running_mean: (out,), of the normalisation behind it.
        shifted: Whether the running mean is another one than before.
        how: In words, what was done to the kernel.
        input: What pixels the stem expects.
        note: What somebody who uses it must know.
    """

    kernel: Tensor
    running_mean: Tensor
    shifted: bool
    how: str
    input: Input | None
    note: str


def grey_stem(kernel: Tensor, running_mean: Tensor, expects: Input | None) -> GreyStem:
    """Derive it.

    Args:
        kernel: (out, 3, *size), for RGB.
        running_mean: (out,), of the normalisation behind it.
        expects: What pixels the stem for RGB expects; None where unknown.

    Raises:
        CheckpointRefused: The stem has another number of channels.
    """
    if kernel.shape[1] != 3:
        raise CheckpointRefused("a stem for RGB", f"one for {kernel.shape[1]} channels", "leave --in-channels out")
    exact = kernel.double()  # in double precision, so that rounding happens once
    how, note = "sum over RGB", _ALIKE
    if expects is None or not expects.mean:
        summed, shift = exact.sum(dim=1, keepdim=True), torch.zeros(len(kernel), dtype=torch.float64)
        grey = None if expects is None else expects.model_copy(update={"channels": 1})
    else:
        means, stds = (torch.tensor(numbers, dtype=torch.float64) for numbers in (expects.mean, expects.std))
        mean, std = means.mean(), stds.mean()
        per_channel = exact / stds.reshape(1, -1, *(1,) * (kernel.ndim - 2))
        summed = per_channel.sum(dim=1, keepdim=True) * std
        constants = per_channel.flatten(start_dim=2).sum(dim=2) * (mean - means)  # (out, 3)
        shift = constants.sum(dim=1)
        grey = Input(
            scale=f"[{expects.low:g}, {expects.high:g}], minus {mean.item():.4g}, divided by {std.item():.4g}",
            channels=1,
            size_px=expects.size_px,
            low=expects.low,
            high=expects.high,
            mean=(round(mean.item(), 6),),
            std=(round(std.item(), 6),),
            fit=expects.fit,
        )
        if len(set(expects.mean)) > 1 or len(set(expects.std)) > 1:
            how, note = "sum over RGB, each by its standard deviation", _APART
    return GreyStem(
        kernel=summed.to(kernel.dtype),
        running_mean=(running_mean.double() - shift).to(running_mean.dtype),
        shifted=bool(shift.any()),
        how=how,
        input=grey,
        note=note,
    )


_ALIKE = (
    "The stem for one channel is the sum of that for RGB: a grey image gives exactly what three equal channels give "
    "there."
)
_APART = (
    "The stem for one channel is the sum of that for RGB, the channels' own means and standard deviations folded in: a "
    "grey image gives what it gives there, normalised per channel, but for the two outermost rows and columns of the "
    "stem's map, where the padding is another."
)
