"""What an import of somebody else's weights gives, and how it is refused."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from networks.configs import Input, NetworkConfig

Kind = Literal["as it is", "renamed", "converted", "folded", "set", "drawn anew"]
KINDS: tuple[Kind, ...] = ("as it is", "renamed", "converted", "folded", "set", "drawn anew")
AS_IT_IS, DRAWN_ANEW = "as it is", "drawn anew"


class CheckpointRefused(ValueError):
    """A file that cannot become weights of a network as a whole.

    Attributes:
        expected: What such a file holds.
        got: What this one holds.
        advice: What to do.
    """

    def __init__(self, expected: str, got: str, advice: str) -> None:
        super().__init__(f"expected {expected}; got {got}; {advice}")
        self.expected, self.got, self.advice = expected, got, advice


@dataclass(frozen=True)
class Mapped:
    """One tensor of ours and where it came from.

    Attributes:
        ours: Name in our network's state.
        theirs: Names in the file; several where layers are folded into one, none where a tensor starts anew.
        how: What was done on the way, in words: "as it is", "HWIO to OIHW", "mean over RGB", "drawn anew".
    """

    ours: str
    theirs: tuple[str, ...]
    how: str = AS_IT_IS

    @property
    def kind(self) -> Kind:
        """What sort of change that was.

        "renamed" has the file's numbers under another name, "converted" one tensor's numbers in another order, type or
        sum, "folded" several tensors made into one; "set" and "drawn anew" have nothing of the file: a fixed value, and
        random numbers.
        """
        if not self.theirs:
            return "drawn anew" if self.how.startswith(DRAWN_ANEW) else "set"
        if len(self.theirs) > 1:
            return "folded"
        if self.how != AS_IT_IS:
            return "converted"
        return "as it is" if self.theirs[0] == self.ours else "renamed"


@dataclass(frozen=True)
class Imported:
    """Weights under our names, and all that is known about them.

    Attributes:
        config: The network they are for; `build(config)` takes `tensors` with strict loading.
        tensors: Every tensor of that network's state.
        mapped: How each came to be, in the order of the network's state.
        left_out: Tensors of the file that have no place in the network, each with the reason.
        layout: Whose file this is: "torchvision", "CheXNet (arnoweng, zoogzog)", "KimiaNet", "Keras H-DenseUNet".
        trained_on: In words.
        labels: Names of the outputs, in order; empty where unknown; "" for an output that was never trained.
        operating_points: Probability above which a label counts, by label.
        input: What pixels the weights expect.
        notes: What somebody who uses the weights must know.
    """

    config: NetworkConfig
    tensors: Mapping[str, Tensor]
    mapped: tuple[Mapped, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    layout: str = ""
    trained_on: str = "unknown"
    labels: tuple[str, ...] = ()
    operating_points: Mapping[str, float] = field(default_factory=dict)
    input: Input | None = None
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[Kind, int]:
        """Tensors of the network by what was done to them, every kind of `KINDS`; the sum is all it has."""
        found = Counter(one.kind for one in self.mapped)
        return {kind: found[kind] for kind in KINDS}
