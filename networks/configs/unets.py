"""Configurations of U-Nets and their relatives."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from networks.configs.base import Config, Rate, SpatialDims
from networks.configs.dense import DenseTrunkConfig, DenseWidths


class UnitsConfig(Config):
    """What every U-Net says of itself: what goes in and out, widths, and what its units are made of."""

    spatial_dims: SpatialDims = Field(default=2, description="2 for images, 3 for volumes")
    in_channels: PositiveInt = Field(default=1, description="channels of the input")
    out_channels: PositiveInt = Field(default=1, description="classes")
    features: tuple[PositiveInt, ...] = Field(
        default=(32, 64, 128, 256, 512), min_length=2, max_length=7, description="channels per level, finest first"
    )
    normalisation: Literal["none", "batch"] = Field(
        default="none", description="none: the paper's unit; batch: conv-BN-ReLU, convolutions without bias"
    )
    dropout: Rate | None = Field(
        default=None, description="after each ReLU; None: 0.5 as published, 0 with batch normalisation, its stand-in"
    )

    @property
    def dropout_rate(self) -> float:
        """The rate in force."""
        if self.dropout is not None:
            return self.dropout
        return 0.5 if self.normalisation == "none" else 0.0  # 0.5: authors' keras/helper_functions.py


class UNetConfig(UnitsConfig):
    """U-Net, 2D or 3D: (N, in_channels, *size) in, logits (N, out_channels, *size) out.

    The U-Net of the UNet++ papers by default; their wide one is `features: [35, 70, 140, 280, 560]`, the 3D U-Net of
    Çiçek et al. `spatial_dims: 3, features: [64, 128, 256, 512], normalisation: batch, units: doubling`.
    """

    training_only: ClassVar[frozenset[str]] = frozenset({"dropout"})

    name: Literal["unet"] = Field(default="unet", description="which network this is")
    units: Literal["equal", "doubling"] = Field(
        default="equal",
        description="equal: both convolutions of a level are as wide, up-convolutions halve; doubling: going down the "
        "first one is half as wide, up-convolutions keep their channels and have no bias",
    )

    @model_validator(mode="after")
    def _halvable(self) -> Self:
        if self.units == "doubling" and any(width % 2 for width in self.features):
            raise ValueError(
                f"expected even features with units doubling, which halves them, got {self.features}; "
                "make them even or set units: equal"
            )
        return self

    @property
    def divisor(self) -> int:
        """What every size is padded to a multiple of, inside."""
        return int(2 ** (len(self.features) - 1))


class DenseEncoderConfig(DenseTrunkConfig):
    """A DenseNet as the encoder of another network. DenseNet-201 by default, that of the second UNet++ paper."""

    training_only: ClassVar[frozenset[str]] = frozenset({"checkpointing"})

    @property
    def widths(self) -> DenseWidths:
        """The trunk's widths."""
        return self._widths_or(201)


class UNetPlusPlusConfig(UnitsConfig):
    """UNet++, 2D or 3D: (N, in_channels, *size) in, logits (N, out_channels, *size) out.

    With deep supervision every head X(0,1) to X(0,level) exists and training yields all of them. `level` cuts the
    network: nodes X(i,j) with i + j > level do not exist (L1 to L4 of the paper).

    With an `encoder`, X(1,0) and on are a DenseNet's maps, one level more than there are blocks. `features` are then
    the widths of the nodes above the deepest level, (16, 32, 64, 128, 256) unless they are given, and the normalisation
    is batch unless it is given, both as in the authors' code.
    """

    training_only: ClassVar[frozenset[str]] = frozenset({"dropout"})

    name: Literal["unet_plus_plus"] = Field(default="unet_plus_plus", description="which network this is")
    encoder: DenseEncoderConfig | None = Field(
        default=None, description="a DenseNet in place of the units going down; None: the paper's own units"
    )
    level: PositiveInt | None = Field(default=None, description="deepest level built; None: all there are")
    deep_supervision: bool = Field(default=True, description="a head on every X(0,j), not only on the last")
    mode: Literal["accurate", "fast"] = Field(
        default="accurate", description="what evaluation yields: the mean of all heads, or the last head alone"
    )
    activation: Literal["softmax", "sigmoid"] | None = Field(
        default=None, description="what makes probabilities of logits; None: sigmoid for one class, softmax for more"
    )

    @model_validator(mode="before")
    @classmethod
    def _encoder_decides_defaults(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("encoder") is not None:
            # Authors' keras/segmentation_models: decoder_filters, coarsest first, and decoder_use_batchnorm.
            return {"features": (16, 32, 64, 128, 256), "normalisation": "batch", **given}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.encoder is not None and len(self.features) != self._deepest:
            raise ValueError(
                f"expected {self._deepest} features, one more than the encoder has blocks, got {self.features}; "
                "give one for each level but the deepest, finest first"
            )
        if self.level is not None and self.level > self._deepest:
            raise ValueError(
                f"expected a level of at most {self._deepest}, all that the features and the encoder make, "
                f"got {self.level}; lower it or add features"
            )
        if self.mode == "accurate" and not self.deep_supervision:
            raise ValueError(
                "mode accurate averages the heads of deep supervision, got deep_supervision false; "
                "set mode: fast or deep_supervision: true"
            )
        if self.out_channels == 1 and self.activation == "softmax":
            raise ValueError(
                "softmax over a single class is always 1, got out_channels 1; set activation: sigmoid or more classes"
            )
        return self

    @property
    def depth(self) -> int:
        """The deepest level built, 4 for L4."""
        return self.level or self._deepest

    @property
    def multi_label(self) -> bool:
        """True where each class has a probability of its own (sigmoid)."""
        return self.activation == "sigmoid" or (self.activation is None and self.out_channels == 1)

    @property
    def divisor(self) -> int:
        """What every size is padded to a multiple of, inside; a pruned network keeps its parent's."""
        return int(2**self._deepest)

    @property
    def _deepest(self) -> int:
        return len(self.features) - 1 if self.encoder is None else len(self.encoder.widths.block_config) + 1
