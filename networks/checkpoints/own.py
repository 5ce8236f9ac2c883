"""Files of this project's own networks: safetensors that say for which network they are, or bare state dicts."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from networks.checkpoints.files import CheckpointFile
from networks.checkpoints.imported import CheckpointRefused
from networks.checkpoints.layouts import PARALLEL, shape_of
from networks.checkpoints.matching import difference
from networks.configs import DenseUNet3DConfig, DenseUNetConfig, HDenseUNetConfig, NetworkConfig

LAYOUT = "DenseLens"
_MARKS = {"h_dense_unet": "slice_network.", "dense_unet": "encoder.", "unet_plus_plus": "units."}
_UNSEEN = {"h_dense_unet": ("context_scale",)}  # settings that no tensor shows, beside those that candidates differ in
_SETTINGS: TypeAdapter[NetworkConfig] = TypeAdapter(NetworkConfig)


def own_names(tensors: Mapping[str, Tensor], *, told: bool) -> dict[str, str] | None:
    """Our names to the file's.

    Args:
        tensors: Of the file.
        told: Whether the file says for which of our networks it is.

    Returns:
        None where the names are not ours, or are a DenseNet's, which are torchvision's too.
    """
    before = PARALLEL if all(name.startswith(PARALLEL) for name in tensors) else ""
    names = {name.removeprefix(before): name for name in tensors}
    return names if told or any(name.startswith(mark) for name in names for mark in _MARKS.values()) else None


def own_config(file: CheckpointFile, tensors: Mapping[str, Tensor]) -> tuple[NetworkConfig, tuple[str, ...]]:
    """Settings of the network a file was made for: what it says, or what its shapes say.

    Args:
        file: Where they may stand.
        tensors: Under our names.

    Returns:
        The settings, and what had to be taken for granted.

    Raises:
        CheckpointRefused: Neither says it.
    """
    if file.settings is not None:
        return _told(file.settings, file.name), ()
    candidates = list(_candidates(tensors, file.name))
    fitting = [config for config in candidates if not difference(tensors, config)]
    # Where none fits, the first one says what is missing.
    config = (fitting or candidates)[0]
    open_questions = _open_questions(fitting, config) | {
        key: getattr(config, key) for key in _UNSEEN.get(config.name, ())
    }
    taken = [f"{key}={value}" for key, value in open_questions.items()]
    notes = (f"The file does not say and its tensors do not show: {', '.join(taken)} was taken.",) if taken else ()
    return config, notes


def _told(settings: Mapping[str, Any], name: str) -> NetworkConfig:
    try:
        return _SETTINGS.validate_python(dict(settings))
    except ValidationError as error:
        reason = " ".join(str(error).split())
        raise CheckpointRefused(
            "settings of one of our networks", f"{name}: {reason}", "make the file again"
        ) from error


def _candidates(tensors: Mapping[str, Tensor], name: str) -> list[NetworkConfig]:
    try:
        if any(key.startswith(_MARKS["h_dense_unet"]) for key in tensors):
            flat, deep = _dense_unets(tensors, "slice_network."), _dense_unets(tensors, "volume_network.")
            hybrids = [
                {"slice_network": one.model_dump(), "volume_network": other.model_dump(), "context": context}
                for context, (one, other) in product(("probabilities", "logits"), product(flat, deep))
            ]
            return [HDenseUNetConfig.model_validate(settings) for settings in hybrids]
        if any(key.startswith(_MARKS["dense_unet"]) for key in tensors):
            return [*_dense_unets(tensors, "")]
    except ValidationError as error:
        reason = " ".join(str(error).split())
        raise CheckpointRefused("tensors of one of our networks", f"{name}: {reason}", "check the file") from error
    raise CheckpointRefused(
        "a file that says for which network it is",
        f"{name}, tensors alone",
        "save it with pipelines.model_store.save_weights",
    )


def _dense_unets(tensors: Mapping[str, Tensor], before: str) -> list[DenseUNetConfig | DenseUNet3DConfig]:
    """All DenseUNets, 2D or 3D, whose tensors these could be, the default first."""
    head = tensors.get(f"{before}head.weight")
    if head is None or head.ndim not in (4, 5):
        raise CheckpointRefused("every tensor of a DenseUNet", f"no kernel {before}head.weight", "import it whole")
    shape = shape_of(tensors, f"{before}encoder.", f"{before}head.weight")
    ends = {"in_channels": shape.in_channels, "out_channels": shape.out_channels, "feature_channels": head.shape[1]}
    widths: dict[str, Any] = {"variant": shape.variant} if shape.variant else shape.widths._asdict()
    if shape.spatial_dims == 3:
        return [DenseUNet3DConfig(**ends, **shape.widths._asdict(), skips=skips) for skips in (True, False)]
    scse = ("sum", "max") if any(f"{before}decoder." in name and ".scse." in name for name in tensors) else ("none",)
    return [DenseUNetConfig(**ends, **widths, skips=skips, scse=one) for one in scse for skips in (True, False)]


def _open_questions(fitting: list[NetworkConfig], chosen: NetworkConfig) -> dict[str, object]:
    """Settings in which the networks differ that all have the file's tensors, as they were taken."""
    taken = _flat(chosen.identity())
    others = [_flat(config.identity()) for config in fitting]
    return {key: value for key, value in taken.items() if any(other[key] != value for other in others)}


def _flat(settings: Mapping[str, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in settings.items():
        flat |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return flat
