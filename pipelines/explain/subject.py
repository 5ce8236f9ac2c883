"""What is explained at once: inputs of a network, what is asked of them, and where maps of them lie in the study."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from networks.configs import Input
from pipelines.examination import Seen
from pipelines.explain.targets import PixelLogits, Target


@dataclass(frozen=True, eq=False)
class Subject(ABC):
    """Inputs that are explained at once.

    Attributes:
        seen: What of the study they were made of.
        inputs: (N, C, *size), as the network takes them.
        targets: What is asked, each of every input.
        about: What of a label is meant: "" all of it, else "lesion 2".
        judged: Which of the inputs the maps are judged on, and shown.
        expected: Of a film, how it was squared and sized.
        number: Which of all that the network saw, in the order in which it was asked.
    """

    seen: Seen
    inputs: Tensor
    targets: tuple[Target, ...]
    about: str = ""
    judged: int = 0
    expected: Input | None = None
    number: int = 0

    def on(self, device: str) -> Self:
        """The same with its inputs on a device."""
        return replace(self, inputs=self.inputs.to(device))

    @abstractmethod
    def lifted(self, maps: Tensor) -> Tensor:
        """Maps (N, *size) of one target on the grid of `seen.prepared`, (D, H, W); 0 where nothing was explained."""

    @abstractmethod
    def alone(self) -> tuple[Tensor, tuple[Target, ...]]:
        """The input that is judged, (1, C, *size), and what is asked of it."""


@dataclass(frozen=True, eq=False)
class Whole(Subject):
    """A film, a picture or a volume that the network saw whole."""

    def lifted(self, maps: Tensor) -> Tensor:
        """(1, H, W) or (1, D, H, W) as a volume."""
        return maps if maps.ndim == 3 else maps[0]

    def alone(self) -> tuple[Tensor, tuple[Target, ...]]:
        """All there is."""
        return self.inputs, self.targets


@dataclass(frozen=True, eq=False)
class Slices(Subject):
    """Slices of a volume, each with its neighbours.

    Attributes:
        places: (N,) which slices of the prepared volume.
    """

    places: tuple[int, ...] = ()

    def lifted(self, maps: Tensor) -> Tensor:
        """(N, H, W) where they belong."""
        columns, rows, slices = self.seen.prepared.shape
        volume = maps.new_zeros((slices, rows, columns))
        volume[list(self.places)] = maps
        return volume

    def alone(self) -> tuple[Tensor, tuple[Target, ...]]:
        """The slice that shows most of it."""
        one = slice(self.judged, self.judged + 1)
        return self.inputs[one], tuple(_only(target, one) for target in self.targets)


@dataclass(frozen=True, eq=False)
class Window(Subject):
    """A part of a volume.

    Attributes:
        first: (3,) its first voxel (d, h, w) in the prepared volume.
    """

    first: tuple[int, int, int] = (0, 0, 0)

    def lifted(self, maps: Tensor) -> Tensor:
        """(1, d, h, w) where it belongs."""
        columns, rows, slices = self.seen.prepared.shape
        volume = maps.new_zeros((slices, rows, columns))
        d, h, w = self.first
        deep, high, wide = maps.shape[1:]
        volume[d : d + deep, h : h + high, w : w + wide] = maps[0]
        return volume

    def alone(self) -> tuple[Tensor, tuple[Target, ...]]:
        """All there is."""
        return self.inputs, self.targets


@dataclass(frozen=True, eq=False)
class Patches(Subject):
    """Patches of a field of a slide, some of which overlap.

    Attributes:
        corners: (N,) first (row, column) of each on the field.
    """

    corners: tuple[tuple[int, int], ...] = ()

    def lifted(self, maps: Tensor) -> Tensor:
        """(N, h, w) where they belong, the mean where several say something."""
        columns, rows, _ = self.seen.prepared.shape
        total, count = maps.new_zeros((rows, columns)), maps.new_zeros((rows, columns))
        for (top, left), one in zip(self.corners, maps, strict=True):
            place = (slice(top, top + one.shape[0]), slice(left, left + one.shape[1]))
            total[place] += one
            count[place] += 1.0
        return (total / count.clamp(min=1.0))[None]

    def alone(self) -> tuple[Tensor, tuple[Target, ...]]:
        """The patch in the middle."""
        return self.inputs[self.judged : self.judged + 1], self.targets


def _only(target: Target, one: slice) -> Target:
    if isinstance(target, PixelLogits) and len(target.pixels) > 1:
        return PixelLogits(target.index, target.pixels[one], target.label, target.exclusive)
    return target
