"""What a network is, as data: one frozen model per network, told apart by `name`. No torch here.

A network lives in the module of its own name (`dense_unet` in `networks/dense_unet.py`), which is where
`networks.build` looks for it. One more network is one more class here and one more member of `NetworkConfig`.

All networks take float tensors (N, C, H, W) in 2D and (N, C, D, H, W) in 3D, D the slice axis. How a volume is fed is
read from three attributes every config has: `spatial_dims`, `in_channels` and `divisor`.
"""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

DenseNetVariant = Literal[121, 161, 169, 201, 264]
SpatialDims = Literal[2, 3]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


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


class _Config(BaseModel):
    """Frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _DenseConfig(_Config):
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

    def _widths_or(self, default: DenseNetVariant) -> DenseWidths:
        if self.block_config is None or self.growth_rate is None or self.init_features is None:
            return DENSENET_VARIANTS[self.variant or default]
        return DenseWidths(self.block_config, self.growth_rate, self.init_features)


class DenseNetConfig(_DenseConfig):
    """A DenseNet classifier: (N, in_channels, *size) in, logits (N, out_channels) out. DenseNet-121 by default."""

    name: Literal["densenet"] = Field(default="densenet", description="which network this is")
    spatial_dims: SpatialDims = Field(default=2, description="2 for images, 3 for volumes")
    in_channels: PositiveInt = Field(default=3, description="channels of the input: 3 for RGB, 1 for a film")
    out_channels: PositiveInt = Field(description="classes, one logit each")
    dropout: Rate = Field(default=0.0, description="dropped after each dense layer (0 in the ImageNet models)")

    @property
    def widths(self) -> DenseWidths:
        """The trunk's widths."""
        return self._widths_or(121)

    @property
    def divisor(self) -> int:
        """Sizes need not be a multiple of anything."""
        return 1


class DenseUNetConfig(_DenseConfig):
    """The 2D DenseUNet: (N, in_channels, H, W) in, logits (N, out_channels, H, W) of the centre slice out.

    DenseUNet-167, the published one, by default. A compact one: `init_features: 32, growth_rate: 16,
    block_config: [3, 6, 8, 6]`.
    """

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
    norm_momentum: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.01,
        description="weight of a new batch in running statistics (0.99 in Keras is 0.01 here); raise it for short runs",
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


class UNetPlusPlusConfig(_Config):
    """UNet++, 2D or 3D: (N, in_channels, *size) in, logits (N, out_channels, *size) out.

    With deep supervision every head X(0,1) to X(0,level) exists and training yields all of them. `level` cuts the
    network: nodes X(i,j) with i + j > level do not exist (L1 to L4 of the paper).
    """

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


NetworkConfig = Annotated[DenseNetConfig | DenseUNetConfig | UNetPlusPlusConfig, Field(discriminator="name")]
"""Any network; a YAML's `name` decides which."""
