"""Configurations of U-Nets and their relatives."""

from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from networks.configs.base import Config, Rate, SpatialDims


class UNetPlusPlusConfig(Config):
    """UNet++, 2D or 3D: (N, in_channels, *size) in, logits (N, out_channels, *size) out.

    With deep supervision every head X(0,1) to X(0,level) exists and training yields all of them. `level` cuts the
    network: nodes X(i,j) with i + j > level do not exist (L1 to L4 of the paper).
    """

    training_only: ClassVar[frozenset[str]] = frozenset({"dropout"})

    name: Literal["unet_plus_plus"] = Field(default="unet_plus_plus", description="which network this is")
    spatial_dims: SpatialDims = Field(default=2, description="2 for images, 3 for volumes")
    in_channels: PositiveInt = Field(default=1, description="channels of the input")
    out_channels: PositiveInt = Field(default=1, description="classes")
    features: tuple[PositiveInt, ...] = Field(
        default=(32, 64, 128, 256, 512), min_length=2, max_length=7, description="channels per level, finest first"
    )
    level: PositiveInt | None = Field(default=None, description="deepest level built; None: all there are")
    normalisation: Literal["none", "batch"] = Field(
        default="none", description="none: the paper's unit; batch: conv-BN-ReLU, convolutions without bias"
    )
    dropout: Rate | None = Field(
        default=None, description="after each ReLU; None: 0.5 as published, 0 with batch normalisation, its stand-in"
    )
    deep_supervision: bool = Field(default=True, description="a head on every X(0,j), not only on the last")
    mode: Literal["accurate", "fast"] = Field(
        default="accurate", description="what evaluation yields: the mean of all heads, or the last head alone"
    )
    activation: Literal["softmax", "sigmoid"] | None = Field(
        default=None, description="what makes probabilities of logits; None: sigmoid for one class, softmax for more"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        deepest = len(self.features) - 1
        if self.level is not None and self.level > deepest:
            raise ValueError(
                f"expected a level of at most {deepest}, one less than the number of features, got {self.level}; "
                "lower it or add features"
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
        return self.level or len(self.features) - 1

    @property
    def dropout_rate(self) -> float:
        """The rate in force."""
        if self.dropout is not None:
            return self.dropout
        return 0.5 if self.normalisation == "none" else 0.0  # 0.5: authors' keras/helper_functions.py

    @property
    def multi_label(self) -> bool:
        """True where each class has a probability of its own (sigmoid)."""
        return self.activation == "sigmoid" or (self.activation is None and self.out_channels == 1)

    @property
    def divisor(self) -> int:
        """What every size is padded to a multiple of, inside; a pruned network keeps its parent's."""
        return int(2 ** (len(self.features) - 1))
