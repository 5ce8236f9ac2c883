"""Recompute instead of remember: less memory in training, for one more pass forward.

Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016 (arXiv 1604.06174), section 4. For
dense blocks Pleiss, Chen, Huang, Li, van der Maaten, Weinberger, "Memory-Efficient Implementation of DenseNets", 2017
(arXiv 1707.06990): what a block keeps grows with its layers rather than with their square.

Deviation from the second: its code recomputes the concatenation, the first normalisation and the 1x1 convolution and
keeps the bottleneck of 4k channels. Here a layer is recomputed whole, which keeps its k new channels and nothing else;
its last convolution, whose answer nobody needs again, is left out of that unless dropout follows it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from networks.layers import BatchNorm


class StatisticsAside:
    """While entered, the batch norms of a module write their running statistics into copies, dropped on the way out.

    The statistics are thus what they were, to the bit, however the block is left. May be entered again and again: going
    back twice through one graph recomputes twice.
    """

    def __init__(self, part: nn.Module) -> None:
        self._part = part
        self._kept: list[tuple[nn.Module, str, Tensor]] = []

    def __enter__(self) -> None:
        kept: list[tuple[nn.Module, str, Tensor]] = [
            (norm, name, statistic)
            for norm in self._part.modules()
            if isinstance(norm, BatchNorm)
            for name, statistic in norm.named_buffers(recurse=False)
        ]
        copies = [statistic.clone() for _, _, statistic in kept]
        self._kept = kept
        for (norm, name, _), copy in zip(kept, copies, strict=True):
            setattr(norm, name, copy)

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        for norm, name, statistic in self._kept:
            setattr(norm, name, statistic)
        self._kept = []


def recomputed(part: nn.Module, function: Callable[..., Tensor], *given: Tensor, random: bool) -> Tensor:
    """Call a function that uses `part`, keep what it is given, and compute the rest again going back.

    The answer, all gradients and the running statistics are those of the plain call; autocast is put back as it was.
    Forward hooks on what the function calls run once more for every pass backward. torch.compile refuses such a call.

    Args:
        part: the module whose normalisations count a batch once.
        function: of the tensors, to be the same at both times.
        given: what it is given, kept until then.
        random: whether it draws random numbers, to be drawn again alike (costs a copy of the generator's state).

    Returns:
        What the function returns.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), StatisticsAside(part)

    answer: Tensor = checkpoint(function, *given, use_reentrant=False, preserve_rng_state=random, context_fn=contexts)
    return answer
