"""Guided back-propagation.

Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for Simplicity: The All Convolutional Net", ICLR 2015 workshop
(arXiv 1412.6806), section 3.4: going back through a ReLU only what is positive there and was let through goes on.

It shows the edges of the image rather than what the network learnt: with random weights it looks the same (Adebayo,
Gilmer, Muelly, Goodfellow, Hardt, Kim, "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv 1810.03292), and Nie,
Zhang, Patel (ICML 2018, arXiv 1805.07039) say why. It is here to be compared with, and its score card says so.

Every ReLU is guided, whether a module or a function. captum guides modules alone, so that in a network that calls the
function, as DenseNets do before their head, it computes something in between without a word.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from pipelines.explain.input_gradients import input_gradients, strongest
from pipelines.explain.method import Method
from pipelines.explain.targets import Target


class GuidedBackpropagation(Method):
    """Guided back-propagation, the largest absolute value over channels; fails the randomisation of weights."""

    caveat: ClassVar[str] = "shows edges of the image whatever the weights are: fails the test by random weights"

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        with _Guided():
            gradients = input_gradients(network, inputs, targets, rows)
        return strongest(gradients)


class _GuidedRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        answer = torch.relu(x)
        ctx.save_for_backward(answer)
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (answer,) = ctx.saved_tensors
        through: Tensor = torch.ops.aten.threshold_backward(gradients[0].clamp(min=0), answer, 0)
        return through


_RELUS = frozenset({functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_})


class _Guided(TorchFunctionMode):
    """Every ReLU that is called within is a guided one."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _RELUS:
            return _GuidedRelu.apply(args[0] if args else (kwargs or {})["input"])  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


METHOD = GuidedBackpropagation
