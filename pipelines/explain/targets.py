"""What an explanation is about: one number per image, made of what a network says.

A classifier has a logit per class. Of a segmentation network the sum of a class's logits over some of its pixels takes
the logit's place: Vinogradova, Dibrov, Myers, "Towards Interpretable Semantic Segmentation via Gradient-weighted Class
Activation Mapping", AAAI 2020 (arXiv 2002.11434), equation 2. So Seg-Grad-CAM is Grad-CAM with another target, and so
is every other method.

The pixels are those that the network itself gives to the class, those of one lesion ("why this lesion"), or one point.
Whatever is done to an image afterwards, they stay those: what a class loses when something is hidden would otherwise be
counted over what is left of it.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor


class Target(Protocol):
    """One number per image.

    Methods look at changed copies of images; `rows` says of which image each one is a copy.
    """

    @property
    def label(self) -> str:
        """What of the task's labels it is about."""

    @property
    def needs_outputs(self) -> bool:
        """Whether `bound` has to see what the network says of the unchanged images before anything can be asked."""

    def bound(self, outputs: Tensor) -> "Target":
        """The same, with what depends on the unchanged images settled.

        Args:
            outputs: What the network says of all images, (N, classes) or (N, classes, *size).

        Raises:
            ValueError: The network says nothing of the kind.
        """

    def scores(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """What is explained, in logits: outputs (M, classes, ...) of copies of the images `rows` (M,) to (M,)."""

    def probabilities(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """The same as a probability in [0, 1]; of several pixels their mean: (M, classes, ...) to (M,)."""


@dataclass(frozen=True)
class ClassLogit:
    """The logit of a class of a classifier.

    Attributes:
        index: Which output.
        label: Its name.
        exclusive: Whether classes exclude one another (softmax) rather than being findings (sigmoid).
    """

    index: int
    label: str = ""
    exclusive: bool = False

    @property
    def needs_outputs(self) -> bool:
        """No: a logit depends on nothing else."""
        return False

    def bound(self, outputs: Tensor) -> Self:
        """Itself."""
        _check(outputs, self.index, classifier=True)
        return self

    def scores(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """(M, classes) to (M,)."""
        _check(outputs, self.index, classifier=True)
        return outputs[:, self.index]

    def probabilities(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """(M, classes) to (M,)."""
        return _probability(outputs, self.index, exclusive=self.exclusive)


@dataclass(frozen=True, eq=False)
class PixelLogits:
    """The sum of a class's logits over pixels: of one lesion, for example.

    Attributes:
        index: Which class of a segmentation network.
        pixels: Which pixels, (N, *size) or (1, *size) for all images alike, boolean.
        label: The name of the class.
        exclusive: Whether classes exclude one another; of a network with one output it is never so.
    """

    index: int
    pixels: Tensor
    label: str = ""
    exclusive: bool = True

    @property
    def needs_outputs(self) -> bool:
        """No: the pixels are known."""
        return False

    def bound(self, outputs: Tensor) -> Self:
        """Itself.

        Raises:
            ValueError: The pixels are not on the grid of the outputs.
        """
        _check(outputs, self.index, classifier=False)
        if len(self.pixels) not in (1, len(outputs)):
            raise ValueError(f"expected pixels of {len(outputs)} images, or of one for all; got {len(self.pixels)}")
        self._of(outputs, torch.zeros(1, dtype=torch.long))
        return self

    def scores(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """(M, classes, *size) to (M,); 0 where there are no pixels."""
        _check(outputs, self.index, classifier=False)
        return (outputs[:, self.index] * self._of(outputs, rows)).flatten(start_dim=1).sum(dim=1)

    def probabilities(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """(M, classes, *size) to (M,); 0 where there are no pixels."""
        pixels = self._of(outputs, rows)  # (M or 1, *size)
        sure = _probability(outputs, self.index, exclusive=self.exclusive)
        return (sure * pixels).flatten(start_dim=1).sum(dim=1) / pixels.flatten(start_dim=1).sum(dim=1).clamp(min=1)

    def _of(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """The pixels of some images, (M, *size), or (1, *size) for all alike."""
        if self.pixels.shape[1:] != outputs.shape[2:]:
            raise ValueError(
                f"expected pixels on the grid {tuple(outputs.shape[2:])}, got {tuple(self.pixels.shape)}; "
                "give a mask (N, *size) on the network's grid"
            )
        pixels = self.pixels if len(self.pixels) == 1 else self.pixels[rows.to(self.pixels.device)]
        return pixels.to(outputs.device, torch.bool)


@dataclass(frozen=True)
class PredictedClass:
    """The sum of a class's logits over the pixels that the network gives to it.

    Attributes:
        index: Which class of a segmentation network.
        label: Its name.
        exclusive: Whether classes exclude one another, so that a pixel is of the class with the largest logit, rather
            than of every class with a positive one.
    """

    index: int
    label: str = ""
    exclusive: bool = True

    @property
    def needs_outputs(self) -> bool:
        """Yes: they say which pixels."""
        return True

    def bound(self, outputs: Tensor) -> PixelLogits:
        """The pixels of the class in (N, classes, *size)."""
        _check(outputs, self.index, classifier=False)
        own = outputs[:, self.index]
        if self.exclusive and outputs.shape[1] > 1:
            pixels = own >= outputs.amax(dim=1)
        else:
            pixels = own > 0
        return PixelLogits(self.index, pixels.detach(), self.label, self.exclusive)

    def scores(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Refused: ValueError, since nothing is settled yet."""
        raise _unsettled(self)

    def probabilities(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Refused as `scores` is."""
        raise _unsettled(self)


@dataclass(frozen=True)
class Point:
    """The logit of a class at one pixel.

    Attributes:
        index: Which class of a segmentation network.
        at: Index of the pixel, (row, column) or (slice, row, column), on the network's grid.
        label: The name of the class.
        exclusive: Whether classes exclude one another.
    """

    index: int
    at: tuple[int, ...]
    label: str = ""
    exclusive: bool = True

    @property
    def needs_outputs(self) -> bool:
        """Yes: they say how large the grid is."""
        return True

    def bound(self, outputs: Tensor) -> PixelLogits:
        """The pixel as a mask.

        Raises:
            ValueError: It is outside.
        """
        _check(outputs, self.index, classifier=False)
        size = tuple(outputs.shape[2:])
        if len(self.at) != len(size) or not all(0 <= at < extent for at, extent in zip(self.at, size, strict=True)):
            raise ValueError(f"expected a point inside {size}, got {self.at}; give it on the network's grid")
        pixels = torch.zeros((1, *size), dtype=torch.bool)
        pixels[(0, *self.at)] = True
        return PixelLogits(self.index, pixels, self.label, self.exclusive).bound(outputs)

    def scores(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Refused: ValueError, since nothing is settled yet."""
        raise _unsettled(self)

    def probabilities(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Refused as `scores` is."""
        raise _unsettled(self)


def _unsettled(target: Target) -> ValueError:
    return ValueError(f"expected a target bound to what the network says, got {target}; call bound first")


def _probability(outputs: Tensor, index: int, *, exclusive: bool) -> Tensor:
    if exclusive and outputs.shape[1] > 1:
        return torch.softmax(outputs, dim=1)[:, index]
    return torch.sigmoid(outputs[:, index])


def _check(outputs: Tensor, index: int, *, classifier: bool) -> None:
    if (outputs.ndim == 2) is not classifier:
        wanted = "a classifier, (N, classes)" if classifier else "a segmentation network, (N, classes, *size)"
        raise ValueError(f"expected what {wanted} says, got {tuple(outputs.shape)}; choose a target of the other sort")
    if not 0 <= index < outputs.shape[1]:
        raise ValueError(f"expected a class from 0 to {outputs.shape[1] - 1}, got {index}; choose one that there is")
