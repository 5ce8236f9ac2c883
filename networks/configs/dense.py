"""Configurations of the networks made of dense blocks."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, PositiveInt, model_validator

from networks.configs.base import Config, Momentum, Rate, SpatialDims

DenseNetVariant = Literal[121, 161, 169, 201, 264]


class DenseWidths(NamedTuple):
    """The three numbers that make a DenseNet: layers per block, channels per layer (k), channels of the stem."""

    block_config: tuple[int, ...]
    growth_rate: int
    init_features: int


# Huang et al., "Densely Connected Convolutional Networks" (CVPR 2017), table 1 for 121/169/201/264; 161 (k = 48) is the
# wide ImageNet model of the authors' repository, the encoder of H-DenseUNet.
DENSENET_VARIANTS: dict[DenseNetVariant, DenseWidths] = {
    121: DenseWidths((6, 12, 24, 16), 32, 64),
    161: DenseWidths((6, 12, 36, 24), 48, 96),
    169: DenseWidths((6, 12, 32, 32), 32, 64),
    201: DenseWidths((6, 12, 48, 32), 32, 64),
    264: DenseWidths((6, 12, 64, 48), 32, 64),
}


_MOMENTUM = "weight of a new batch in running statistics (0.99 in Keras is 0.01 here); raise it for short runs"
_CHECKPOINTING = "recompute dense layers going back instead of keeping what they made: less memory"


class DenseTrunkConfig(Config, ABC):
    """Widths of a DenseNet trunk: either a published `variant`, or all three explicit numbers, or neither."""

    variant: DenseNetVariant | None = Field(
        default=None,
        description="published widths; exclusive with the three explicit ones; None without those: the default",
    )
    block_config: tuple[PositiveInt, ...] | None = Field(
        default=None, min_length=2, max_length=5, description="dense layers per block"
    )
    growth_rate: PositiveInt | None = Field(default=None, description="channels every dense layer adds (k)")
    init_features: PositiveInt | None = Field(default=None, description="channels of the stem convolution")
    checkpointing: bool = Field(default=False, description=_CHECKPOINTING)

    @model_validator(mode="after")
    def _one_way_to_say_widths(self) -> Self:
        explicit = [self.block_config is not None, self.growth_rate is not None, self.init_features is not None]
        if any(explicit) and not all(explicit):
            raise ValueError(
                "explicit widths need block_config, growth_rate and init_features together; "
                f"got {self.block_config}, {self.growth_rate}, {self.init_features}; give the missing ones or a variant"
            )
        if any(explicit) and self.variant is not None:
            raise ValueError(
                f"expected a variant or explicit widths, got both (variant {self.variant}); remove one of them"
            )
        return self

    @property
    @abstractmethod
    def widths(self) -> DenseWidths:
        """The trunk's widths, however they were said."""

    def identity(self) -> dict[str, Any]:
        """As for every network; widths are the same whether a variant names them or three numbers."""
        kept = super().identity()
        for name in ("variant", "block_config", "growth_rate", "init_features"):
            del kept[name]
        return kept | {"widths": self.widths}

    def _widths_or(self, default: DenseNetVariant) -> DenseWidths:
        if self.block_config is None or self.growth_rate is None or self.init_features is None:
            return DENSENET_VARIANTS[self.variant or default]
        return DenseWidths(self.block_config, self.growth_rate, self.init_features)


class DenseNetConfig(DenseTrunkConfig):
    """A DenseNet classifier: (N, in_channels, *size) in, logits (N, out_channels) out. DenseNet-121 by default."""

    training_only: ClassVar[frozenset[str]] = frozenset({"dropout", "checkpointing"})

    name: Literal["densenet"] = Field(default="densenet", description="which network this is")
    spatial_dims: SpatialDims = Field(default=2, description="2 for images, 3 for volumes")
    in_channels: PositiveInt = Field(default=3, description="channels of the input: 3 for RGB, 1 for a film")
    out_channels: PositiveInt = Field(description="classes, one logit each")
    dropout: Rate = Field(default=0.0, description="dropped after each dense layer (0 in the ImageNet models)")
    rectified: bool = Field(default=True, description="a ReLU before the mean over places; false in KimiaNet")

    @property
    def widths(self) -> DenseWidths:
        """The trunk's widths."""
        return self._widths_or(121)

    @property
    def divisor(self) -> int:
        """Sizes need not be a multiple of anything."""
        return 1


class DenseUNetConfig(DenseTrunkConfig):
    """The 2D DenseUNet: (N, in_channels, H, W) in, logits (N, out_channels, H, W) of the centre slice out.

    DenseUNet-167, the published one, by default. A compact one: `init_features: 32, growth_rate: 16,
    block_config: [3, 6, 8, 6]`.
    """

    training_only: ClassVar[frozenset[str]] = frozenset({"dropout", "norm_momentum", "checkpointing"})

    name: Literal["dense_unet"] = Field(default="dense_unet", description="which network this is")
    in_channels: Literal[1, 3] = Field(
        default=3, description="3: a slice between its neighbours (below, itself, above); 1: the slice alone"
    )
    out_channels: PositiveInt = Field(default=3, description="classes, background included")
    skips: bool = Field(
        default=True, description="long connections by summation; without them the authors' released model"
    )
    dropout: Rate = Field(default=0.3, description="before the last normalisation, the only dropout there is")
    feature_channels: PositiveInt = Field(
        default=64, description="channels of the full-resolution map under the head, which hybrid fusion takes"
    )
    norm_momentum: Momentum = Field(default=0.01, description=_MOMENTUM)
    scse: Literal["none", "sum", "max"] = Field(
        default="none",
        description="recalibration after each stage going up (Roy et al., MICCAI 2018): sum as in the paper, max as in "
        "the authors' code",
    )

    @property
    def widths(self) -> DenseWidths:
        """The encoder's widths."""
        return self._widths_or(161)

    @property
    def spatial_dims(self) -> Literal[2]:
        """A volume is a batch of slices."""
        return 2

    @property
    def divisor(self) -> int:
        """What H and W are padded to a multiple of, inside: 32 for four blocks."""
        return int(2 ** (len(self.widths.block_config) + 1))


class DenseUNet3DConfig(Config):
    """The 3D DenseUNet: (N, in_channels, D, H, W) in, logits (N, out_channels, D, H, W) out.

    DenseUNet-65, the published one, by default.
    """

    training_only: ClassVar[frozenset[str]] = frozenset({"dropout", "norm_momentum", "checkpointing"})

    name: Literal["dense_unet_3d"] = Field(default="dense_unet_3d", description="which network this is")
    in_channels: PositiveInt = Field(default=1, description="channels: 1 for CT, 1 + classes inside H-DenseUNet")
    out_channels: PositiveInt = Field(default=3, description="classes, background included")
    block_config: tuple[PositiveInt, ...] = Field(
        default=(3, 4, 12, 8), min_length=2, max_length=5, description="dense layers per block"
    )
    growth_rate: PositiveInt = Field(default=32, description="channels every dense layer adds (k)")
    init_features: PositiveInt = Field(default=96, description="channels of the stem convolution")
    skips: bool = Field(
        default=True,
        description="long connections by summation; without them the authors' released model, whose widths differ",
    )
    dropout: Rate = Field(default=0.0, description="before the last normalisation; none in the authors' code")
    feature_channels: PositiveInt = Field(
        default=64, description="channels of the full-resolution map under the head, which hybrid fusion takes"
    )
    norm_momentum: Momentum = Field(default=0.01, description=_MOMENTUM)
    checkpointing: bool = Field(default=False, description=_CHECKPOINTING)

    @property
    def widths(self) -> DenseWidths:
        """The encoder's widths."""
        return DenseWidths(self.block_config, self.growth_rate, self.init_features)

    @property
    def spatial_dims(self) -> Literal[3]:
        """Volumes."""
        return 3

    @property
    def divisor(self) -> int:
        """What H and W are padded to a multiple of, inside: 32 for four blocks."""
        return int(2 ** (len(self.block_config) + 1))

    @property
    def depth_divisor(self) -> int:
        """What D is padded to a multiple of, inside: only the stem and the pooling after it halve it."""
        return 4


class HDenseUNetConfig(Config):
    """H-DenseUNet: CT (N, 1, D, H, W) in, logits (N, out_channels, D, H, W) out.

    A 2D DenseUNet answers for every slice, a 3D one sees the CT and those answers, and the feature maps of both are
    fused. As published by default; `skips: false` in both networks and `context: logits` is the authors' release.
    """

    training_only: ClassVar[frozenset[str]] = frozenset({"stage", "dropout", "norm_momentum"})

    name: Literal["h_dense_unet"] = Field(default="h_dense_unet", description="which network this is")
    slice_network: DenseUNetConfig = Field(default=DenseUNetConfig(), description="the 2D network, one slice at a time")
    volume_network: DenseUNet3DConfig = Field(
        default=DenseUNet3DConfig(in_channels=4), description="the 3D network, on the CT and the 2D network's answer"
    )
    stage: Literal["slices", "volume", "end_to_end"] = Field(
        default="end_to_end",
        description="what training changes: the 2D network; the 3D one and the fusion, with the 2D one frozen; "
        "everything, with the statistics of all normalisations frozen",
    )
    context: Literal["probabilities", "logits"] = Field(
        default="probabilities", description="what the 3D network sees of the 2D one; logits in the authors' code"
    )
    context_scale: float = Field(
        default=250.0, gt=0.0, description="what that is multiplied with, to be as large as HU (authors' code)"
    )
    dropout: Rate = Field(default=0.3, description="after the fusion's convolution; 0.1 in the authors' older file")
    norm_momentum: Momentum = Field(default=0.01, description=_MOMENTUM)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        flat, deep = self.slice_network, self.volume_network
        if flat.in_channels != 3:
            raise ValueError(
                f"expected slice_network.in_channels 3, a slice between its neighbours, got {flat.in_channels}; set 3"
            )
        if flat.out_channels != deep.out_channels:
            raise ValueError(
                "expected as many classes from both networks, got slice_network.out_channels "
                f"{flat.out_channels} and volume_network.out_channels {deep.out_channels}; make them equal"
            )
        if deep.in_channels != 1 + flat.out_channels:
            raise ValueError(
                f"expected volume_network.in_channels {1 + flat.out_channels}, the CT and a map per class, got "
                f"{deep.in_channels}; set {1 + flat.out_channels}"
            )
        if flat.feature_channels != deep.feature_channels:
            raise ValueError(
                "expected maps of equal width, since they are summed, got slice_network.feature_channels "
                f"{flat.feature_channels} and volume_network.feature_channels {deep.feature_channels}; make them equal"
            )
        return self

    @property
    def in_channels(self) -> Literal[1]:
        """CT alone; neighbours and class maps are made inside."""
        return 1

    @property
    def out_channels(self) -> int:
        """Classes, background included."""
        return self.slice_network.out_channels

    @property
    def spatial_dims(self) -> Literal[3]:
        """Volumes."""
        return 3

    @property
    def divisor(self) -> int:
        """What H and W are padded to a multiple of, inside: what both networks can halve."""
        return max(self.slice_network.divisor, self.volume_network.divisor)

    @property
    def depth_divisor(self) -> int:
        """What D is padded to a multiple of, inside."""
        return self.volume_network.depth_divisor

    def takes_windows(self, size: tuple[int | None, ...]) -> bool:
        """Whether a volume can be cut into windows of a size (D, H, W), None for the whole extent.

        The 2D network is asked about whole slices, and nothing but the end of a volume may be padded.
        """
        return len(size) == 3 and size[1:] == (None, None) and (size[0] or 0) % self.depth_divisor == 0
