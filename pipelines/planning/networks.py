"""What planning can change of each network, and what patches a network can take.

nnU-Net's U-Net halves every axis by itself and widens its kernels axis by axis. The U-Nets here halve all axes of a
level together, so their depth is what the least halved axis allows; DenseUNets have the depth of their encoder, and
only patches are fitted to them.
"""

import math
from dataclasses import dataclass

from networks.configs import NetworkConfig, UNetConfig, UNetPlusPlusConfig
from pipelines.planning.patch import Fit
from pipelines.planning.topology import Shape, Spacing, Topology, topology

# nnU-Net: widths double from 32 and are 320 (3D) or 512 (2D) at most.
FIRST_WIDTH = 32
WIDEST = {2: 512, 3: 320}
# `features` has seven levels at most.
_MOST_HALVINGS = 6
# H-DenseUNet learns from twelve slices at once (Li et al., IEEE TMI 2018): its 2D half wants them wide.
_HYBRID_SLICES = 12


@dataclass(frozen=True)
class Plannable:
    """A network whose patches, and depth where it can vary, are planned.

    Attributes:
        config: As the task's YAML has it.
    """

    config: NetworkConfig

    @property
    def is_deepened(self) -> bool:
        """Whether depth and widths follow from the patch."""
        if isinstance(self.config, UNetPlusPlusConfig):
            return self.config.encoder is None
        return isinstance(self.config, UNetConfig)

    @property
    def fit(self) -> Fit:
        """From a patch to one the network can take, and where it halves it."""
        return _together if self.is_deepened else self._as_built

    def of(self, found: Topology) -> NetworkConfig:
        """The network for a patch."""
        if not self.is_deepened:
            return self.config
        widest = WIDEST[self.config.spatial_dims]
        features = tuple(min(FIRST_WIDTH * 2**level, widest) for level in range(len(found.strides) + 1))
        settings = self.config.model_dump() | {"features": features, "normalisation": "batch", "dropout": None}
        return type(self.config).model_validate(settings | ({"level": None} if "level" in settings else {}))

    def _as_built(self, patch: Shape, spacing: Spacing) -> Topology:
        """Sizes that need no padding inside a network whose depth is given."""
        del spacing
        divisor = self.config.divisor
        divisors = (divisor,) * len(patch)
        if len(patch) == 3:
            divisors = (getattr(self.config, "depth_divisor", divisor), divisor, divisor)
        raised = tuple(math.ceil(size / by) * by for size, by in zip(patch, divisors, strict=True))
        if self.config.name == "h_dense_unet":
            raised = (_HYBRID_SLICES, *raised[1:])
        counts = [int(math.log2(by)) for by in divisors]
        strides = tuple(tuple(2 if level < count else 1 for count in counts) for level in range(max(counts)))
        return Topology(strides, ((3,) * len(patch),) * (len(strides) + 1), raised)


def _together(patch: Shape, spacing: Spacing) -> Topology:
    """nnU-Net's topology, as deep as its least halved axis, all axes halved in every level."""
    count = max(1, min(*topology(patch, spacing).halvings, _MOST_HALVINGS))
    raised = tuple(math.ceil(size / 2**count) * 2**count for size in patch)
    return Topology(((2,) * len(patch),) * count, ((3,) * len(patch),) * (count + 1), raised)
