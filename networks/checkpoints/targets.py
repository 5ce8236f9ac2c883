"""What an import can result in, and whether a file of a known layout is one of it."""

from dataclasses import dataclass

from networks.checkpoints.imported import CheckpointRefused, Imported
from networks.checkpoints.layouts import CHEXNET, KIMIANET, MONAI, TORCHVISION, XRAYVISION, Recognised, Shape
from networks.checkpoints.published import CHEST_XRAY_14, KIMIANET_CLASSES, XRAYVISION_18
from networks.configs import DENSENET_VARIANTS

_AS_PUBLISHED = "import the file as it was published"


@dataclass(frozen=True)
class Target:
    """What an import can result in.

    Attributes:
        network: The network's name in its settings.
        layouts: Of DenseNets, those taken; the trunk becomes the encoder where the network is a DenseUNet.
        variant: Published widths; None for any.
        outputs: Of the head; None for any.
        in_channels: Of the stem in the file; None for any.
    """

    network: str
    layouts: tuple[str, ...] = ()
    variant: int | None = None
    outputs: int | None = None
    in_channels: int | None = None


_CLASSIFIERS = (TORCHVISION, MONAI, CHEXNET, KIMIANET, XRAYVISION)
TARGETS: dict[str, Target] = {
    **{f"densenet{variant}": Target("densenet", (TORCHVISION, MONAI), variant) for variant in DENSENET_VARIANTS},
    "densenet": Target("densenet", (TORCHVISION, MONAI)),
    "chexnet": Target("densenet", (CHEXNET,), outputs=len(CHEST_XRAY_14), in_channels=3),
    "kimianet": Target("densenet", (KIMIANET,), 121, outputs=KIMIANET_CLASSES, in_channels=3),
    "torchxrayvision": Target("densenet", (XRAYVISION, TORCHVISION), 121, outputs=len(XRAYVISION_18), in_channels=1),
    "dense_unet_167": Target("dense_unet", _CLASSIFIERS, 161),
    **{f"dense_unet_{variant}": Target("dense_unet", _CLASSIFIERS, variant) for variant in (121, 169, 201, 264)},
    "dense_unet": Target("dense_unet", _CLASSIFIERS),
    "dense_unet_3d": Target("dense_unet_3d"),
    "h_dense_unet": Target("h_dense_unet"),
    "unet": Target("unet"),
    "unet_plus_plus": Target("unet_plus_plus"),
}


@dataclass(frozen=True)
class Wishes:
    """What the caller wants otherwise than the file has it.

    Attributes:
        in_channels: 1 makes a stem for one channel out of one for RGB; None leaves it.
        labels: Names of the outputs, in order. A head that is drawn anew has as many.
        trained_on: In words, in place of what is known.
        seed: Of the tensors drawn anew.
    """

    in_channels: int | None = None
    labels: tuple[str, ...] = ()
    trained_on: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Asked:
    """An import that was asked for.

    Attributes:
        name: A key of `TARGETS`.
        wishes: What to make otherwise than the file has it.
    """

    name: str
    wishes: Wishes

    @property
    def target(self) -> Target:
        """What it is to result in."""
        return TARGETS[self.name]


def check_layout(asked: Asked, found: Recognised, shape: Shape, file: str) -> None:
    """Refuse a DenseNet of another layout or of other widths than asked for, saying what it looks like.

    Args:
        asked: What is wanted.
        found: The file's layout.
        shape: The file's widths; those that are nobody's are let through, for a damaged file's tensors tell better how.
        file: Its name, for messages.

    Raises:
        CheckpointRefused: It is another network.
    """
    target, layout, likely = asked.target, found.layout, _likely(found, shape)
    advice = f"use --as {likely}" if likely != asked.name else _AS_PUBLISHED

    def refuse(expected: str, instead: str = advice) -> CheckpointRefused:
        return CheckpointRefused(expected, f"{file}, a {layout.name} file of {shape.told()}", instead)

    if layout.name not in target.layouts:
        raise refuse(f"a file of {asked.name}")
    if target.variant is not None and shape.variant not in (None, target.variant):
        raise refuse(f"a DenseNet-{target.variant} for {asked.name}")
    if layout.variant is not None and shape.variant not in (None, layout.variant):
        raise refuse(f"a DenseNet-{layout.variant}, as the names in the file say", _AS_PUBLISHED)
    if target.in_channels is not None and shape.in_channels != target.in_channels:
        raise refuse(f"{target.in_channels} input channels for {asked.name}")
    if target.outputs is not None and shape.out_channels not in (0, target.outputs, len(asked.wishes.labels)):
        raise refuse(f"{target.outputs} outputs for {asked.name}", "name its outputs with --labels if it is one")
    if target.network == "dense_unet" and shape.spatial_dims != 2:
        raise refuse(f"a 2D DenseNet for {asked.name}")


def check_network(asked: Asked, imported: Imported, file: str) -> Imported:
    """Refuse a whole file of one of our networks that is another one than asked for.

    Returns:
        The same.

    Raises:
        CheckpointRefused: It is another network.
    """
    config, target = imported.config, asked.target
    variant = published_variant(getattr(config, "widths", None))
    if config.name == target.network and target.variant in (None, variant):
        return imported
    fitting = [name for name, one in TARGETS.items() if (one.network, one.variant) == (config.name, variant)]
    other = fitting[0] if fitting else config.name
    raise CheckpointRefused(
        f"a file of {asked.name}", f"{file}, a {imported.layout} file of {other}", f"use --as {other}"
    )


def published_variant(widths: object) -> int | None:
    """The published DenseNet of these widths, if there is one."""
    return next((number for number, known in DENSENET_VARIANTS.items() if known == widths), None)


def _likely(found: Recognised, shape: Shape) -> str:
    """What a file is most likely a file of."""
    by_layout = {CHEXNET: "chexnet", KIMIANET: "kimianet", XRAYVISION: "torchxrayvision"}
    return by_layout.get(found.layout.name) or (f"densenet{shape.variant}" if shape.variant else "densenet")
