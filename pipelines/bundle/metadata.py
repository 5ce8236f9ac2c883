"""`configs/metadata.json`: what MONAI's schema asks for, and the card under a key of its own."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from networks.configs import NetworkConfig
from pipelines.classifier_task import ClassifierTask
from pipelines.model_store import Card
from pipelines.task import Task

# The newest there is; its address is what MONAI's own bundles name.
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
OURS = "denselens"
_RESEARCH = "Research use only, not a medical device."


def metadata(task: Task, card: Card, weights_sha256: str, requires: Mapping[str, str]) -> dict[str, Any]:
    """Of a bundle.

    Args:
        task: Suited to its weights.
        card: Of the weights.
        weights_sha256: Of the safetensors file they were in.
        requires: Distributions beside MONAI, with versions.
    """
    base = {"monai", "torch", "numpy"}
    return {
        "schema": SCHEMA,
        "version": version("denselens"),
        "changelog": {version("denselens"): "exported"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {name: told for name, told in requires.items() if name not in base},
        "name": card.name,
        "task": f"{task.name}: {', '.join(_labels(task))}",
        "description": f"{task.network.name} of denselens, trained on: {card.trained_on}. {_RESEARCH}",
        "authors": "the authors of denselens",
        "copyright": "code Apache-2.0; of weights and data see docs/README.md",
        "data_source": card.trained_on,
        "intended_use": f"{card.limits} {_RESEARCH}",
        "eval_metrics": dict(card.held_out),
        "network_data_format": {"inputs": {"image": _image(task)}, "outputs": {"pred": _prediction(task)}},
        OURS: {
            "card": card.model_dump(mode="json", exclude_defaults=True),
            "network": task.network.model_dump(mode="json"),
            "weights_sha256": weights_sha256,
        },
    }


def _image(task: Task) -> dict[str, Any]:
    network, window = task.network, getattr(task, "window_hu", None)
    low, high = (0.0, 1.0) if window is None else [value - getattr(task, "mean_hu", 0.0) for value in window]
    if isinstance(task, ClassifierTask):
        low, high = _scaled(task)
    size: Any = ["*"] * network.spatial_dims
    if isinstance(task, ClassifierTask) and task.expected.size_px is not None:
        size = [task.expected.size_px] * network.spatial_dims
    return {
        "type": "image",
        "format": "hounsfield" if window is not None else "magnitude",
        "modality": ", ".join(task.modalities),
        "num_channels": network.in_channels,
        "spatial_shape": size,
        "dtype": "float32",
        "value_range": [low, high],
        "is_patch_data": False,
        "channel_def": {str(index): _channel(network, index) for index in range(network.in_channels)},
    }


def _scaled(task: ClassifierTask) -> tuple[float, float]:
    """What black and white are to the network."""
    expected = task.expected
    means, stds = expected.mean or (0.0,), expected.std or (1.0,)
    pairs = [(mean, std) for mean, std in zip(means, stds * len(means), strict=False)]
    return min((expected.low - m) / s for m, s in pairs), max((expected.high - m) / s for m, s in pairs)


def _channel(network: NetworkConfig, index: int) -> str:
    if network.name == "dense_unet" and network.in_channels > 1:
        return f"slice {index - network.in_channels // 2:+d}"
    return f"channel {index}" if network.in_channels > 1 else "image"


def _prediction(task: Task) -> dict[str, Any]:
    network = task.network
    whole = isinstance(task, ClassifierTask)
    names = _labels(task) if whole else ("background", *_labels(task))
    if len(names) != network.out_channels:
        names = tuple(f"output {number}" for number in range(network.out_channels))
    return {
        "type": "probabilities" if whole else "segmentation",
        "format": "classes" if whole else "segmentation",
        "num_channels": network.out_channels,
        "spatial_shape": [] if whole else ["*"] * network.spatial_dims,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(index): name or "never trained" for index, name in enumerate(names)},
    }


def _labels(task: Task) -> tuple[str, ...]:
    return task.judge.names if isinstance(task, ClassifierTask) else task.label_set.names
