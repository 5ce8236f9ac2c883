"""A published file into one of our networks: every tensor accounted for, or nothing at all.

Names such as `chexnet` say what the result is (`networks.checkpoints.targets`). A file is taken where its layout is one
that network is published in, its widths are that network's, every tensor of the network is in it, and every tensor of
the file has a place or a stated reason to be left out. torch's `strict=False`, with which renaming only the prefix of a
CheXNet file silently leaves 580 of 727 tensors random, is not used anywhere.
"""

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from networks.checkpoints.assembling import as_encoder, fill, with_channels
from networks.checkpoints.files import KERAS_ENDINGS, CheckpointFile, read_checkpoint
from networks.checkpoints.imported import CheckpointRefused, Imported
from networks.checkpoints.keras_h_dense_unet import import_h_dense_unet
from networks.checkpoints.layouts import KIMIANET, Layout, Recognised, Shape, recognise, shape_of
from networks.checkpoints.matching import difference
from networks.checkpoints.own import LAYOUT, own_config, own_names
from networks.checkpoints.published import facts_of
from networks.checkpoints.targets import TARGETS, Asked, Wishes, check_layout, check_network
from networks.configs import DenseNetConfig


def import_checkpoint(path: Path, network: str, wishes: Wishes | None = None) -> Imported:
    """Import a published file.

    Args:
        path: A .safetensors, .pt, .pth, .pth.tar, .bin or .h5 file.
        network: A key of `TARGETS`: what the result is.
        wishes: What to make otherwise than the file has it.

    Returns:
        Weights that `build(imported.config)` takes with strict loading.

    Raises:
        CheckpointRefused: The file is not there, cannot be read without running code, is of another layout or width, or
            has too few or too many tensors.
    """
    if network not in TARGETS:
        raise CheckpointRefused(f"one of the networks {', '.join(TARGETS)}", repr(network), "correct --as")
    asked = Asked(network, wishes or Wishes())
    if path.name.endswith(KERAS_ENDINGS):
        imported = check_network(asked, import_h_dense_unet(path), path.name)
    else:
        file = read_checkpoint(path)
        names = own_names(file.tensors, told=file.settings is not None)
        imported = _published(file, asked) if names is None else check_network(asked, _own(file, names), path.name)
    return _as_wished(with_channels(imported, asked.wishes.in_channels, path.name), asked.wishes)


def _own(file: CheckpointFile, names: dict[str, str]) -> Imported:
    """A file of one of our networks."""
    config, notes = own_config(file, {ours: file.tensors[theirs] for ours, theirs in names.items()})
    found = Recognised(Layout(LAYOUT, "", ""), names, {}, ())
    tensors, mapped = fill(file, found, config, config.name)
    return Imported(config, tensors, mapped, layout=LAYOUT, notes=notes)


def _published(file: CheckpointFile, asked: Asked) -> Imported:
    """A DenseNet of another project: as it is, or its trunk as the encoder of a DenseUNet."""
    found = recognise(file.tensors)
    if found is None:
        names = ", ".join(list(file.tensors)[:3])
        got = f"{file.name}, whose {len(file.tensors)} tensors ({names}, …) are of no layout known here"
        raise CheckpointRefused(f"a file of {asked.name}", got, "see docs/weights.md for what can be imported")
    tensors = {ours: file.tensors[theirs] for ours, theirs in found.places.items()}
    shape = shape_of(tensors, "features.", "classifier.weight")
    check_layout(asked, found, shape, file.name)
    config = _densenet(shape, shape.variant or asked.target.variant)
    if shape.variant is None and config.variant and not difference(tensors, _densenet(shape, None), found.unknown):
        got = f"{file.name}, a whole {found.layout.name} file of {shape.told()}"
        raise CheckpointRefused(f"a DenseNet-{config.variant} for {asked.name}", got, "use --as densenet")
    config = config.model_copy(update={"rectified": found.layout.name != KIMIANET})
    filled, mapped = fill(file, found, config, asked.name)
    facts = facts_of(file, found, shape)
    imported = Imported(
        config=config,
        tensors=filled,
        mapped=mapped,
        left_out=dict.fromkeys(found.besides.values(), _BESIDES_OUT),
        layout=found.layout.name,
        trained_on=facts.trained_on,
        labels=facts.labels,
        operating_points=facts.operating_points or {},
        input=facts.input,
        notes=facts.notes,
    )
    return as_encoder(imported, asked) if asked.target.network == "dense_unet" else imported


def _densenet(shape: Shape, variant: int | None) -> DenseNetConfig:
    """Settings of a published DenseNet with a file's channels and classes, or of one with its widths too."""
    widths = {"variant": variant} if variant else shape.widths._asdict()
    ends = {"in_channels": shape.in_channels, "out_channels": max(shape.out_channels, 1)}
    try:
        return DenseNetConfig.model_validate(widths | ends | {"spatial_dims": shape.spatial_dims})
    except ValidationError as error:
        raise CheckpointRefused("a DenseNet", " ".join(str(error).split()), "import the file as published") from error


def _as_wished(imported: Imported, wishes: Wishes) -> Imported:
    if wishes.trained_on is not None:
        imported = replace(imported, trained_on=wishes.trained_on)
    if not wishes.labels:
        return imported
    outputs = imported.config.out_channels
    if len(wishes.labels) != outputs:
        raise CheckpointRefused(f"{outputs} labels, one per output", f"{len(wishes.labels)}", "correct --labels")
    renamed = dict(zip(imported.labels, wishes.labels, strict=False))
    points = {renamed[label]: value for label, value in imported.operating_points.items() if renamed[label]}
    return replace(imported, labels=wishes.labels, operating_points=points)


_BESIDES_OUT = "operating points, which stand in the card"
