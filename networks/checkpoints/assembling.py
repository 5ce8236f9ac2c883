"""Tensors of a file under our names to all tensors of a network: filled, made an encoder, given another stem."""

from dataclasses import replace

import torch
from pydantic import ValidationError
from torch import Tensor

from networks.build import build
from networks.checkpoints.files import CheckpointFile
from networks.checkpoints.grey_stem import grey_stem
from networks.checkpoints.imported import AS_IT_IS, DRAWN_ANEW, CheckpointRefused, Imported, Mapped
from networks.checkpoints.layouts import Recognised
from networks.checkpoints.matching import check_finite, difference, state_of
from networks.checkpoints.targets import Asked
from networks.configs import DenseNetConfig, DenseUNetConfig, NetworkConfig

NO_COUNTER = "starts at 0, the file has no counters of batches"
_STEMS = {"densenet": "features.", "dense_unet": "encoder."}
_HEAD = "classifier."


def fill(
    file: CheckpointFile, found: Recognised, config: NetworkConfig, asked: str
) -> tuple[dict[str, Tensor], tuple[Mapped, ...]]:
    """Every tensor of a network out of a file.

    Args:
        file: Where they stand.
        found: Which tensor of ours is which of theirs, and what has no place.
        config: The network.
        asked: What it is called in messages.

    Returns:
        The tensors in the order of the network's state and in its types, and how each came to be.

    Raises:
        CheckpointRefused: One is missing, left over, of another shape or not finite.
    """
    given = {ours: file.tensors[theirs] for ours, theirs in found.places.items()}
    own = state_of(config)
    if wrong := difference(given, config, found.unknown):
        got = f"{file.name}, {found.layout.name}, with {wrong}"
        raise CheckpointRefused(f"the {len(own)} tensors of {asked}", got, "import the file as it was published")
    check_finite(given, file.name)
    tensors, mapped = {}, []
    for name, like in own.items():
        if name not in given:
            tensors[name] = torch.zeros(like.shape, dtype=like.dtype)
            mapped.append(Mapped(name, (), NO_COUNTER))
            continue
        tensor = given[name]
        same = tensor.dtype == like.dtype
        tensors[name] = tensor.to(like.dtype).contiguous()
        how = AS_IT_IS if same else f"{_type(tensor.dtype)} to {_type(like.dtype)}"
        mapped.append(Mapped(name, (found.places[name],), how))
    return tensors, tuple(mapped)


def as_encoder(imported: Imported, asked: Asked) -> Imported:
    """Make a DenseNet's trunk the encoder of a DenseUNet whose decoder and head are drawn anew.

    Raises:
        CheckpointRefused: The trunk's stem has neither 1 nor 3 channels.
    """
    if not isinstance(imported.config, DenseNetConfig):
        raise TypeError(f"expected a DenseNet, got {imported.config.name}; import it first")
    wishes = asked.wishes
    config = _dense_unet(imported.config, len(wishes.labels))
    how = f"{DRAWN_ANEW}, seed {wishes.seed}"
    tensors = dict(build(config, seed=wishes.seed).state_dict())
    kept = {one.ours.replace("features.", "encoder.", 1): one for one in imported.mapped}
    mapped = []
    for name in tensors:
        if (one := kept.get(name)) is None:
            mapped.append(Mapped(name, (), how))
        else:
            tensors[name] = imported.tensors[one.ours]
            mapped.append(replace(one, ours=name))
    out = {theirs: _HEAD_OUT for one in imported.mapped if one.ours.startswith(_HEAD) for theirs in one.theirs}
    return replace(
        imported,
        config=config,
        tensors=tensors,
        mapped=tuple(mapped),
        left_out={**imported.left_out, **out},
        trained_on=f"encoder: {imported.trained_on}; decoder and head: nothing, drawn anew",
        labels=(),
        operating_points={},
        notes=_ENCODER_NOTES,
    )


def with_channels(imported: Imported, in_channels: int | None, file: str) -> Imported:
    """Give a network another number of input channels: 1 in place of 3, and no other.

    Args:
        imported: The network as it is in the file.
        in_channels: As many as are wanted; None leaves it.
        file: Its name, for messages.

    Raises:
        CheckpointRefused: It cannot be done.
    """
    config = imported.config
    if in_channels is None or in_channels == config.in_channels:
        return imported
    trunk = _STEMS.get(config.name)
    if trunk is None or in_channels != 1 or config.in_channels != 3:
        got = f"{in_channels} for {file}, a {config.name} with {config.in_channels}"
        raise CheckpointRefused("1 input channel in place of 3, in a DenseNet or DenseUNet", got, "leave it out")
    kernel, mean = f"{trunk}conv0.weight", f"{trunk}norm0.running_mean"
    stem = grey_stem(imported.tensors[kernel], imported.tensors[mean], imported.input)
    sources = {one.ours: one.theirs for one in imported.mapped}
    changed = {kernel: Mapped(kernel, sources[kernel], stem.how)}
    if stem.shifted:
        changed[mean] = Mapped(mean, (*sources[mean], *sources[kernel]), "less what the channels' means add")
    return replace(
        imported,
        config=config.model_copy(update={"in_channels": 1}),
        tensors={**imported.tensors, kernel: stem.kernel, mean: stem.running_mean},
        mapped=tuple(changed.get(one.ours, one) for one in imported.mapped),
        input=stem.input,
        notes=(*imported.notes, stem.note),
    )


def _dense_unet(config: DenseNetConfig, classes: int) -> DenseUNetConfig:
    """Settings of the DenseUNet over a DenseNet; the default's classes where none are wished."""
    widths = {"variant": config.variant} if config.variant else config.widths._asdict()
    ends = {"in_channels": config.in_channels} | ({"out_channels": classes} if classes else {})
    try:
        return DenseUNetConfig.model_validate(widths | ends)
    except ValidationError as error:
        got = f"{config.in_channels} input channels"
        raise CheckpointRefused("an encoder of 1 or 3 channels", got, "choose another file") from error


def _type(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


_HEAD_OUT = "the encoder has no classifier"
_ENCODER_NOTES = (
    "Only the encoder was trained: the network must be trained before it means anything.",
    "The three channels are a slice between its neighbours, where the encoder has learnt colours.",
    "The encoder has learnt pixels as told under input. The liver tasks feed Hounsfield units less 48, a hundred times "
    "larger: running statistics take that up in training, frozen ones do not.",
    "The epsilon of the encoder's normalisations is 1.1e-5, as in H-DenseUNet, and 1e-5 in the file's network: outputs "
    "differ by less than one part in ten thousand where a channel's variance is above 0.01.",
)
