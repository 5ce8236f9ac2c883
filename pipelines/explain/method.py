"""What a method of explanation is: frozen settings that turn a network, images and targets into maps.

A method is its settings: `GradCam()`, `IntegratedGradients(steps=100)`. What holds for all of them is done here once:
the network is in evaluation mode and learns nothing meanwhile, targets are settled by what it says of the unchanged
images, large batches are cut into pieces, and no image of a batch has a say in the map of another.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from networks.inference import for_inference
from pipelines.explain.targets import Target
from pipelines.settings import Settings

# Copies of an image per call of a network: five of 224 x 224 going back, twenty forward, one of 128 x 128 x 128. More
# are no faster, going back they are slower, and memory grows with them.
_PIXELS_GOING_BACK = 1 << 18
_PIXELS_FORWARD = 1 << 20


class Method(Settings, ABC):
    """A method with its settings.

    Attributes:
        batch: Images, or copies of images, per call of the network.
    """

    needs_gradients: ClassVar[bool] = True
    """Whether it goes back through the network, which one rewritten for inference does not allow."""
    signed: ClassVar[bool] = False
    """Whether a map tells what speaks against the target by values below zero."""
    from_lowest: ClassVar[bool] = False
    """Whether only differences within a map mean something: it is shown from its lowest value on, not from zero."""
    singles_out: ClassVar[bool] = True
    """Whether it can tell the lesion that is meant from others of its kind."""
    complete: ClassVar[bool] = False
    """Whether the values of a map add up to what the score changed by from the baseline."""
    caveat: ClassVar[str] = ""
    """What whoever looks at its maps has to be told."""
    sparing: ClassVar[Mapping[str, int]] = {}
    """Settings that make further maps cheap: enough to see whether they change, not to be shown."""

    batch: int | None = Field(
        default=None, ge=1, description="images, or copies of them, per call of the network; null: by their size"
    )

    @classmethod
    def method_name(cls) -> str:
        """The name by which it is asked for: that of its module."""
        return cls.__module__.rpartition(".")[2]

    def spared(self) -> Self:
        """The same with no more samples than it takes to judge it."""
        less = {name: min(most, getattr(self, name)) for name, most in self.sparing.items()}
        return self.model_copy(update=less)

    def quickest(self, network: nn.Module) -> nn.Module:
        """A network as built as this method asks it soonest: where it takes no gradients, rewritten for inference."""
        return network if self.needs_gradients else for_inference(network)

    def explain(
        self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], outputs: Tensor | None = None
    ) -> Tensor:
        """Maps of what in the inputs made the network say what it said.

        Args:
            network: In evaluation mode. With `needs_gradients` as it was built, not as rewritten for inference.
            inputs: (N, C, H, W) or (N, C, D, H, W) as the network takes them; read, never written.
            targets: What is explained, each for every image.
            outputs: What the network says of the inputs, where that is known already.

        Returns:
            float32 (N, targets, H, W) or (N, targets, D, H, W) on the grid of the inputs, as the formula gives it,
            neither scaled nor clipped: more is more important. No images, or no targets, give an empty tensor.

        Raises:
            ValueError: The network is in training mode, or a target does not fit it.
            ConfigError: The network has not what the method needs.
        """
        if network.training:
            raise ValueError("expected a network in evaluation mode, got one in training; call eval() first")
        if inputs.shape[0] == 0 or not targets:
            return inputs.new_zeros((inputs.shape[0], len(targets), *inputs.shape[2:]), dtype=torch.float32)
        with torch.inference_mode(False), torch.no_grad(), frozen(network):
            images = inputs.clone() if inputs.is_inference() else inputs.detach()
            if outputs is None and any(target.needs_outputs for target in targets):
                outputs = answers(network, images, self.batch)
            settled = list(targets) if outputs is None else [target.bound(outputs) for target in targets]
            rows = torch.arange(len(images), device=images.device)
            step = at_once(images, self.batch, going_back=self.needs_gradients)
            some = [rows[piece] for piece in pieces(len(rows), step)]
            return torch.cat([self._maps(network, images[those], settled, those).float() for those in some])

    @abstractmethod
    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        """Maps (n, targets, *size) of the images `rows` (n,), without gradients being recorded unless asked for."""


def answers(network: nn.Module, inputs: Tensor, batch: int | None = None) -> Tensor:
    """What a network says of images (N, C, *size), some at a time: (N, classes) or (N, classes, *size)."""
    with torch.no_grad():
        some = pieces(len(inputs), at_once(inputs, batch, going_back=False))
        return torch.cat([at_least_float32(network(inputs[piece])) for piece in some])


def at_least_float32(values: Tensor) -> Tensor:
    """Values of a network that computes in bfloat16, in float32; others as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def at_once(inputs: Tensor, batch: int | None, *, going_back: bool) -> int:
    """How many images of the size of `inputs` (N, C, *size) go through a network at once."""
    if batch is not None:
        return batch
    return max((_PIXELS_GOING_BACK if going_back else _PIXELS_FORWARD) // math.prod(inputs.shape[2:]), 1)


def pieces(count: int, step: int) -> Iterator[slice]:
    """A count of things, at most `step` at a time, in their order."""
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def by_copy(values: Tensor, copies: int) -> Tensor:
    """What belongs to copies of images, all images of the first copy first: (copies * n, ...) to (copies, n, ...)."""
    return values.reshape(copies, len(values) // copies, *values.shape[1:])


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No parameter of a network asks for gradients meanwhile: what they would need is not kept then."""
    asking = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
