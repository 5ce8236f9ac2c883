"""What is known about published DenseNet weights besides their numbers.

Facts are those of the projects' own code: labels and normalisation of CheXNet from arnoweng/CheXNet (model.py) and
zoogzog/chexnet (ChexnetTrainer.py), KimiaNet from KimiaLabMayo/KimiaNet (its PyTorch sample), torchxrayvision from
mlmed/torchxrayvision (datasets.py for labels and `normalize`, models.py for thresholds).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from networks.checkpoints.files import CheckpointFile
from networks.checkpoints.imported import CheckpointRefused
from networks.checkpoints.layouts import CHEXNET, KIMIANET, THRESHOLDS, TORCHVISION, XRAYVISION, Recognised, Shape
from networks.configs import Input

# Published with every torchvision model, and used by the others below.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET_CLASSES = 1000

# The order of ChestX-ray14 (Wang et al., CVPR 2017), as CLASS_NAMES in both repositories.
CHEST_XRAY_14 = (
    *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax"),
    *("consolidation", "edema", "emphysema", "fibrosis", "pleural_thickening", "hernia"),
)
# The order of `xrv.datasets.default_pathologies`.
XRAYVISION_18 = (
    *("atelectasis", "consolidation", "infiltration", "pneumothorax", "edema", "emphysema", "fibrosis", "effusion"),
    *("pneumonia", "pleural_thickening", "cardiomegaly", "nodule", "mass", "hernia", "lung_lesion", "fracture"),
    *("lung_opacity", "enlarged_cardiomediastinum"),
)
KIMIANET_CLASSES = 30


@dataclass(frozen=True)
class Facts:
    """What goes into the card.

    Attributes:
        trained_on: In words.
        labels: Of the outputs; empty where unknown.
        operating_points: By label.
        input: What pixels are expected; None where unknown.
        notes: What somebody who uses the weights must know.
    """

    trained_on: str = "unknown"
    labels: tuple[str, ...] = ()
    operating_points: Mapping[str, float] | None = None
    input: Input | None = None
    notes: tuple[str, ...] = ()


def facts_of(file: CheckpointFile, found: Recognised, shape: Shape) -> Facts:
    """What is known about a file by its layout.

    Raises:
        CheckpointRefused: Its thresholds are not one per output.
    """
    name = found.layout.name
    if name == CHEXNET:
        return Facts(
            trained_on=f"ChestX-ray14, DenseNet-{shape.variant} from ImageNet weights",
            labels=CHEST_XRAY_14 if shape.out_channels == len(CHEST_XRAY_14) else (),
            input=imagenet_input(224),
            notes=(_SIGMOID_ONCE, _TEN_CROPS),
        )
    if name == KIMIANET:
        return Facts(
            trained_on="TCGA whole slide images at 20x, patches of 1000 x 1000 pixels, 30 tumour classes",
            input=imagenet_input(None, "RGB of H&E patches at 20x, not resized"),
            notes=(_BEFORE_THE_RELU,),
        )
    if name == XRAYVISION or (name == TORCHVISION and _is_xrayvision_without_thresholds(shape)):
        return _xrayvision(file, found, shape)
    if name == TORCHVISION and shape.out_channels == IMAGENET_CLASSES and shape.in_channels == 3:
        return Facts(trained_on="ImageNet-1k, as torchvision publishes it", input=imagenet_input(224))
    return Facts(notes=(_UNKNOWN_INPUT,))


def imagenet_input(size_px: int | None, told: str = "RGB") -> Input:
    """Values in [0, 1], then ImageNet's mean and standard deviation per channel."""
    return Input(
        scale=f"{told}, [0, 1], then ImageNet mean and standard deviation",
        channels=3,
        size_px=size_px,
        low=0.0,
        high=1.0,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def _is_xrayvision_without_thresholds(shape: Shape) -> bool:
    """The files of the first releases, and `state_dict()` of models without thresholds."""
    return shape.in_channels == 1 and shape.out_channels == len(XRAYVISION_18) and shape.spatial_dims == 2


def _xrayvision(file: CheckpointFile, found: Recognised, shape: Shape) -> Facts:
    points = _thresholds(file, found)
    if points is not None and len(points) != shape.out_channels:
        raise CheckpointRefused(
            f"a threshold for each of {shape.out_channels} outputs", f"{len(points)}", "import the file as published"
        )
    labels: tuple[str, ...] = XRAYVISION_18 if shape.out_channels == len(XRAYVISION_18) else ()
    known: dict[str, float] = {}
    note = _THRESHOLDS_MISSING
    if points is not None and labels:
        labels = tuple("" if value != value else label for label, value in zip(labels, points, strict=True))
        known = {label: value for label, value in zip(labels, points, strict=True) if label}
        note = _THRESHOLDS_KEPT
    return Facts(
        trained_on="public chest films, which of them the file does not say",
        labels=labels,
        operating_points=known,
        input=Input(
            scale="a film from its lowest to its highest possible value, [-1024, 1024]",
            channels=1,
            size_px=224,
            low=-1024.0,
            high=1024.0,
        ),
        notes=(note, _LOGITS),
    )


def _thresholds(file: CheckpointFile, found: Recognised) -> list[float] | None:
    """Operating points from the buffer, or from beside the weights; NaN for an output that was not trained."""
    if THRESHOLDS in found.besides:
        return [float(value) for value in file.tensors[found.besides[THRESHOLDS]].flatten()]
    told = file.beside.get(THRESHOLDS)
    if isinstance(told, Tensor):
        told = told.flatten().tolist()
    if isinstance(told, list | tuple) and all(isinstance(value, int | float) for value in told):
        return [float(value) for value in torch.tensor(told, dtype=torch.float64)]
    return None


_SIGMOID_ONCE = (
    "The published module ends in a sigmoid; this network ends in logits, so the sigmoid is applied once, by whoever "
    "wants probabilities."
)
_TEN_CROPS = "The published figures are means over ten crops of 224 pixels out of 256."
_BEFORE_THE_RELU = (
    "KimiaNet pools its features before the last ReLU: `network.features(x).mean(dim=(2, 3))` are its 1024 "
    "features, and its logits are made of them (`rectified: false`)."
)
_THRESHOLDS_KEPT = (
    "torchxrayvision rescales probabilities so that each operating point becomes 0.5; these weights do not, the "
    "operating points stand in the card. Outputs without a label were never trained."
)
_THRESHOLDS_MISSING = (
    "The file has no operating points, which tell what outputs were trained; only the weights trained on all datasets "
    "trained all 18."
)
_LOGITS = "The network gives logits; torchxrayvision gives rescaled probabilities where it has operating points."
_UNKNOWN_INPUT = "The file does not say what pixels it expects."
