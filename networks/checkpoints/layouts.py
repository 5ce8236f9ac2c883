"""Whose file of DenseNet weights this is, told by the names in it, and how wide the network was.

A layout is where a project keeps the trunk and the head. Names of a trunk differ in three ways: what stands before it,
whether MONAI's `layers.` stands within, and whether the halves of a dense layer are `norm.1` (older torchvision, and
everything made with it) or `norm1`. Sources, read for the names alone:

* torchvision: pytorch/vision, torchvision/models/densenet.py (`_load_state_dict` for the older names);
* CheXNet: arnoweng/CheXNet, model.py; zoogzog/chexnet, DensenetModels.py and ChexnetTrainer.py (also 169 and 201);
* KimiaNet: KimiaLabMayo/KimiaNet, KimiaNet_PyTorch_Feature_Extraction.py;
* torchxrayvision: mlmed/torchxrayvision, torchxrayvision/models.py;
* MONAI: Project-MONAI/MONAI, monai/networks/nets/densenet.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from networks.checkpoints.imported import CheckpointRefused
from networks.configs import DENSENET_VARIANTS, DenseWidths

PARALLEL = "module."  # put before every name by torch.nn.DataParallel
COUNTER = ".num_batches_tracked"
THRESHOLDS = "op_threshs"

_TRUNK = re.compile(
    r"(?:conv0|norm\d+|denseblock[1-9]\d*\.denselayer[1-9]\d*\.(?:norm|conv)[12]|transition[1-9]\d*\.(?:norm|conv))"
    r"\.(?:weight|bias|running_mean|running_var|num_batches_tracked)"
)
_HALVES = re.compile(r"(denselayer\d+\.)(layers\.)?(norm|conv)\.?([12]\.)")
_HEAD = ("weight", "bias")
_AS_PUBLISHED = "import the file as it was published"


@dataclass(frozen=True)
class Layout:
    """Where a project keeps the parts of a DenseNet.

    Attributes:
        name: What it is called.
        trunk: What stands before the names of the trunk.
        head: What stands before `weight` and `bias` of the last layer.
        nested: Whether `layers.` stands within dense layers.
        besides: Tensors that are neither, and known.
        variant: The network that the names themselves tell.
    """

    name: str
    trunk: str
    head: str
    nested: bool = False
    besides: frozenset[str] = frozenset()
    variant: int | None = None

    def ours(self, theirs: str) -> str | None:
        """Our name of one of their tensors, None where it has no place in a DenseNet."""
        if theirs.startswith(self.head) and theirs.removeprefix(self.head) in _HEAD:
            return f"classifier.{theirs.removeprefix(self.head)}"
        if not theirs.startswith(self.trunk):
            return None
        rest = theirs.removeprefix(self.trunk)
        halves = _HALVES.search(rest)
        if halves and bool(halves.group(2)) != self.nested:
            return None
        rest = _HALVES.sub(r"\1\3\4", rest)
        return f"features.{rest}" if _TRUNK.fullmatch(rest) else None


TORCHVISION, CHEXNET, KIMIANET, XRAYVISION, MONAI = "torchvision", "CheXNet", "KimiaNet", "torchxrayvision", "MONAI"
LAYOUTS = (
    Layout(TORCHVISION, "features.", "classifier."),
    Layout(XRAYVISION, "features.", "classifier.", besides=frozenset({THRESHOLDS})),
    *(
        Layout(CHEXNET, f"densenet{variant}.features.", f"densenet{variant}.classifier.0.", variant=variant)
        for variant in (121, 169, 201)
    ),
    Layout(CHEXNET, "features.", "classifier.0."),  # for those who took the prefix off
    Layout(KIMIANET, "model.0.", "fc_4."),
    Layout(MONAI, "features.", "class_layers.out.", nested=True),
)


@dataclass(frozen=True)
class Recognised:
    """A file whose layout is known.

    Attributes:
        layout: Which.
        places: Our name of a DenseNet's tensor to theirs.
        besides: The layout's tensors that are no weights, by their names without what torch puts before all.
        unknown: Tensors that the layout does not know, or that would take a place that is taken.
    """

    layout: Layout
    places: Mapping[str, str]
    besides: Mapping[str, str]
    unknown: tuple[str, ...]


def recognise(tensors: Mapping[str, Tensor]) -> Recognised | None:
    """Find the layout that knows most of a file's names.

    Returns:
        None where no layout knows even half of them.
    """
    best = max((_fit(layout, tensors) for layout in LAYOUTS), key=lambda fit: len(fit.places) + len(fit.besides))
    return best if 2 * len(best.places) >= len(tensors) else None


def _fit(layout: Layout, tensors: Mapping[str, Tensor]) -> Recognised:
    before = PARALLEL if all(name.startswith(PARALLEL) for name in tensors) else ""
    places: dict[str, str] = {}
    besides: dict[str, str] = {}
    unknown: list[str] = []
    for name in tensors:
        theirs = name.removeprefix(before)
        ours = layout.ours(theirs)
        if theirs in layout.besides:
            besides[theirs] = name
        elif ours is None or ours in places:
            unknown.append(name)
        else:
            places[ours] = name
    return Recognised(layout, _last_norm_by_blocks(places), besides, tuple(unknown))


def _last_norm_by_blocks(places: Mapping[str, str]) -> Mapping[str, str]:
    """Others call the last normalisation norm5 however many blocks there are; with three, ours is norm4."""
    blocks = max((int(block) for name in places for block in re.findall(r"denseblock(\d+)", name)), default=0)
    theirs, ours = "features.norm5.", f"features.norm{blocks + 1}."
    if theirs == ours or any(name.startswith(ours) for name in places):
        return places
    return {name.replace(theirs, ours): original for name, original in places.items()}


@dataclass(frozen=True)
class Shape:
    """What tensors say about the DenseNet they come from.

    Attributes:
        widths: Of the trunk.
        spatial_dims: 2 or 3.
        in_channels: Of the stem.
        out_channels: Of the head; 0 where there is none.
    """

    widths: DenseWidths
    spatial_dims: int
    in_channels: int
    out_channels: int

    @property
    def variant(self) -> int | None:
        """The published network of these widths, if there is one."""
        return next((number for number, widths in DENSENET_VARIANTS.items() if widths == self.widths), None)

    def told(self) -> str:
        """In words: "DenseNet-121 in 2D, 3 channels to 1000 classes"."""
        blocks = "-".join(str(layers) for layers in self.widths.block_config)
        name = f"DenseNet-{self.variant}" if self.variant else f"a DenseNet of {blocks} layers"
        head = f"{self.out_channels} classes" if self.out_channels else "no head"
        return f"{name} in {self.spatial_dims}D, {self.in_channels} channels to {head}"


def shape_of(tensors: Mapping[str, Tensor], trunk: str, head: str) -> Shape:
    """Read widths from names and shapes.

    Args:
        tensors: By names after torchvision's pattern.
        trunk: What stands before the names of the trunk.
        head: The last layer's weight, (classes, channels, ...).

    Raises:
        CheckpointRefused: A tensor that tells them is missing, or is no kernel.
    """
    stem = _kernel(tensors, f"{trunk}conv0.weight", (4, 5))
    layer = _kernel(tensors, f"{trunk}denseblock1.denselayer1.conv2.weight", (4, 5))
    if len(stem) != len(layer):
        got = f"a stem of shape {stem} beside a layer of shape {layer}"
        raise CheckpointRefused("kernels of one network, in 2D or in 3D", got, _AS_PUBLISHED)
    last = tensors.get(head)
    layers: dict[int, int] = {}
    for name in tensors:
        if place := re.match(rf"{re.escape(trunk)}denseblock(\d+)\.denselayer(\d+)\.", name):
            block, index = int(place.group(1)), int(place.group(2))
            layers[block] = max(index, layers.get(block, 0))
    return Shape(
        widths=DenseWidths(tuple(layers.get(block, 0) for block in range(1, max(layers) + 1)), layer[0], stem[0]),
        spatial_dims=len(stem) - 2,
        in_channels=stem[1],
        out_channels=0 if last is None or not last.ndim else last.shape[0],
    )


def _kernel(tensors: Mapping[str, Tensor], name: str, axes: tuple[int, ...]) -> tuple[int, ...]:
    shape = tuple(tensors[name].shape) if name in tensors else None
    if shape is None or len(shape) not in axes or 0 in shape:
        got = f"{name} of shape {shape}" if shape is not None else f"1 missing ({name})"
        raise CheckpointRefused("every tensor of a DenseNet", got, _AS_PUBLISHED)
    return shape
