"""Weights of H-DenseUNet's authors: their Keras files into our DenseUNet and H-DenseUNet.

Li et al., IEEE TMI 37(12), 2018; layers and names as in xmengli/H-DenseUNet (hybridnet.py and denseunet3d.py: the
hybrid; denseunet.py: the 2D network with long connections; densenet.py: without), in the layout of Keras 2.0.8
(`networks.checkpoints.keras_file`). Three kinds of files are told apart by the layers they have; the number of dense
layers and all widths are read off the file.

How arrays become tensors:

* kernels of the 2D network are (H, W, in, out) and become (out, in, H, W);
* kernels of the 3D network are (x, y, z, in, out) with z along the slices and become (out, in, z, x, y), since our
  networks take (D, H, W). The first axis of a slice stays the first: what the authors call x is H here. Their arrays
  come from files whose first axis is the column, ours have rows first, so the networks see slices transposed. The
  hybrid and the 2D network without long connections were trained on slices turned and mirrored in all eight ways
  (train_hybrid.py); the script of the one with long connections (denseunet.py) mirrors only;
* each normalisation of an encoder is followed by a layer `Scale`; both become one normalisation with
  gamma = gamma_norm * gamma_scale and beta = beta_norm * gamma_scale + beta_scale, computed in double precision;
* gamma and beta are told apart by name. The authors' own loader swaps the first two arrays of some layers because it
  reads them in alphabetical order.

The auxiliary head of the 3D network (`3dclassifer`) leads to no output of the authors' model, so their files may lack
it. It is zero here then, and `mapped` says so. Nothing else may be missing and nothing may be left over.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from networks.build import build
from networks.checkpoints.imported import CheckpointRefused, Imported, Mapped
from networks.checkpoints.keras_file import KerasFile, open_keras_file
from networks.checkpoints.keras_layers import Place, tensors_of, wanted_shapes
from networks.configs import DENSENET_VARIANTS, DenseUNet3DConfig, DenseUNetConfig, HDenseUNetConfig, Input
from networks.layers import BatchNorm, Convolution

STAGES = (2, 3, 4, 5)  # the authors count the stem as stage 1
UP_STAGES = range(5)
SLICE_HEAD = "dense167classifer"  # names are the authors', their spelling included
VOLUME_HEAD = "3dclassifer"
FUSION = {"fusion.conv": "fianl_conv", "fusion.norm": "final_bn", "fusion.head": "2d3dclassifer"}
ADAPTER = "line0"
LAYER_NAME = re.compile(
    r"(3d)?(conv1(_bn|_scale)?|conv[2-5]_(\d+_x[12]|blk)(_bn|_scale)?|(conv|bn)_up[0-4]|classifer)"
    r"|line0|dense167classifer|fianl_conv|final_bn|2d3dclassifer"
)
CONTEXT_SCALE = 250.0  # hybridnet.py, res2d_input
LABELS = ("background", "liver", "liver_tumor")
HU_LOW, HU_HIGH, HU_MEAN = -200.0, 250.0, 48.0  # preprocessing.py; -mean of all scripts

_TRAINED_ON = (
    "LiTS, according to the authors on all 131 training volumes, none held back; what a file of the same layout from "
    "elsewhere was trained on is not known"
)
_NOTES = (
    "No figure on LiTS training volumes is fair: the authors trained on all 131.",
    "3DIRCADb is among the LiTS training volumes (28 to 47): no figure on it is fair either.",
    "The authors call a voxel liver from a probability of 0.5 and tumour from 0.9.",
)
_HYBRID_NOTES = (
    "Without long connections in both networks, as released; the paper describes them.",
    "The 3D network sees the logits of the 2D one times 250; the paper's probabilities would need other weights.",
)
_TURNED = "The authors' x is our H, so slices are seen transposed; training turned and mirrored them in all eight ways."
_MIRRORED = (
    "The authors' x is our H, so slices are seen transposed; denseunet.py mirrors slices in training and never turns "
    "them: compare with transposed slices before trusting a result."
)


def import_h_dense_unet(path: Path) -> Imported:
    """Read a Keras file of H-DenseUNet's authors: the hybrid network, or the 2D network alone.

    Args:
        path: HDF5 as `save_weights` or `save` of Keras 2 writes it.

    Returns:
        The weights: of an H-DenseUNet without long connections that passes logits on, or of a DenseUNet with or
        without long connections, in the widths of the file.

    Raises:
        CheckpointRefused: if the file is none of these, is damaged, or has any layer, array, shape or number that the
            network has no place for, or lacks one.
    """
    with open_keras_file(path, LAYER_NAME) as file:
        config = _config(file)
        network = build(config, device="meta")
        places = _places(network, _authors_names(config))
        absent = {VOLUME_HEAD} if isinstance(config, HDenseUNetConfig) and VOLUME_HEAD not in file.layers else set()
        _check(file, places, absent)
        tensors: dict[str, Tensor] = {}
        mapped: dict[str, Mapped] = {}
        for place in places:
            for ours, (tensor, origin) in tensors_of(file, place, absent).items():
                tensors[f"{place.name}.{ours}"], mapped[f"{place.name}.{ours}"] = tensor, origin
        left_out = dict(file.left_out)
    hybrid = isinstance(config, HDenseUNetConfig)
    long = isinstance(config, DenseUNetConfig) and config.skips
    return Imported(
        config=config,
        tensors={name: tensors[name] for name in network.state_dict()},
        mapped=tuple(mapped[name] for name in network.state_dict()),
        left_out=left_out,
        layout="Keras H-DenseUNet" if hybrid else "Keras H-DenseUNet, 2D network alone",
        trained_on=_TRAINED_ON,
        labels=LABELS if config.out_channels == len(LABELS) else (),
        input=Input(
            scale="HU clipped to [-200, 250], minus 48",
            channels=config.in_channels,
            size_px=None,
            low=HU_LOW,
            high=HU_HIGH,
            mean=(HU_MEAN,) * config.in_channels,
        ),
        notes=(*(_HYBRID_NOTES if hybrid else ()), *_NOTES, _MIRRORED if long else _TURNED),
    )


def _config(file: KerasFile) -> DenseUNetConfig | HDenseUNetConfig:
    """The network of a file, from the names and widths of its layers."""
    hybrid = any(name.startswith("3d") or name in FUSION.values() for name in file.layers)
    classes = _width(file, SLICE_HEAD)
    skips = ADAPTER in file.layers and not hybrid  # In the hybrid an adapter would be left over, and is refused.
    blocks, growth, stem = _blocks(file, ""), _width(file, "conv2_1_x2"), _width(file, "conv1")
    slices = DenseUNetConfig(skips=skips, out_channels=classes, feature_channels=_width(file, "conv_up4"))
    if (blocks, growth, stem) != DENSENET_VARIANTS[161]:
        widths = {"block_config": blocks, "growth_rate": growth, "init_features": stem}
        slices = DenseUNetConfig.model_validate(slices.model_dump() | widths)
    if not hybrid:
        return slices
    return HDenseUNetConfig(
        slice_network=slices,
        volume_network=DenseUNet3DConfig(
            in_channels=1 + classes,
            out_channels=classes,
            block_config=_blocks(file, "3d"),
            growth_rate=_width(file, "3dconv2_1_x2"),
            init_features=_width(file, "3dconv1"),
            # Not that of 3dconv_up4: the two maps are summed, and a width that does not fit is refused as a shape.
            feature_channels=slices.feature_channels,
            skips=False,
        ),
        context="logits",
        context_scale=CONTEXT_SCALE,
    )


def _width(file: KerasFile, layer: str) -> int:
    """Channels that come out of a convolution."""
    kernel = file.shapes(layer).get("kernel")
    if kernel is None:
        raise CheckpointRefused(
            f"a Keras file of H-DenseUNet, with a kernel of {layer}",
            f"{file.name} with {len(file.layers)} layers and none of that",
            "use a file of xmengli/H-DenseUNet, or another layout",
        )
    return kernel[-1]


def _blocks(file: KerasFile, prefix: str) -> tuple[int, ...]:
    """Dense layers per block, counted by the names there are."""
    counts = []
    for stage in STAGES:
        name = re.compile(rf"{prefix}conv{stage}_(\d+)_x[12](?:_bn|_scale)?")
        found = {int(match[1]) for match in map(name.fullmatch, file.layers) if match}
        if not found or found != set(range(1, len(found) + 1)):
            raise CheckpointRefused(
                f"dense layers {prefix}conv{stage}_1, {prefix}conv{stage}_2 and on without a gap",
                f"{file.name} with {sorted(found)}",
                "the file lacks layers; use it as its authors published it",
            )
        counts.append(len(found))
    return tuple(counts)


def _authors_names(config: DenseUNetConfig | HDenseUNetConfig) -> dict[str, str]:
    """Name of the authors' convolution or decoder normalisation by that of ours.

    Normalisations of encoders have the name of the convolution behind them here; `_places` adds the rest.
    """
    if isinstance(config, DenseUNetConfig):
        return _names_of_one(config, "", SLICE_HEAD)
    flat = _names_of_one(config.slice_network, "", SLICE_HEAD)
    deep = _names_of_one(config.volume_network, "3d", VOLUME_HEAD)
    return (
        {f"slice_network.{ours}": theirs for ours, theirs in flat.items()}
        | {f"volume_network.{ours}": theirs for ours, theirs in deep.items()}
        | FUSION
    )


def _names_of_one(config: DenseUNetConfig | DenseUNet3DConfig, prefix: str, head: str) -> dict[str, str]:
    names = {"encoder.conv0": "conv1", "encoder.norm0": "conv1", "encoder.norm5": "conv5_blk"}
    for block, (stage, layers) in enumerate(zip(STAGES, config.widths.block_config, strict=True), start=1):
        for layer in range(1, layers + 1):
            for half in (1, 2):
                for kind in ("norm", "conv"):
                    ours = f"encoder.denseblock{block}.denselayer{layer}.{kind}{half}"
                    names[ours] = f"conv{stage}_{layer}_x{half}"
        names |= {f"encoder.transition{block}.{kind}": f"conv{stage}_blk" for kind in ("norm", "conv")}
    for stage in UP_STAGES:
        names |= {f"decoder.{stage}.conv": f"conv_up{stage}", f"decoder.{stage}.norm": f"bn_up{stage}"}
    names = {ours: prefix + theirs for ours, theirs in names.items()}
    return names | {"decoder.0.adapter": ADAPTER, "head": head}


def _places(network: nn.Module, names: Mapping[str, str]) -> list[Place]:
    """Every part of our network that has numbers, with the authors' layers."""
    found = []
    for name, module in network.named_modules():
        if isinstance(module, Convolution):
            found.append(Place(name, module, (names[name],)))
        elif isinstance(module, BatchNorm):
            encoder = "encoder." in name
            layers = (f"{names[name]}_bn", f"{names[name]}_scale") if encoder else (names[name],)
            found.append(Place(name, module, layers))
    return found


def _check(file: KerasFile, places: list[Place], absent: set[str]) -> None:
    """Refuse a file that has not exactly the layers, arrays and shapes of the network."""
    wanted = {
        layer: shapes for place in places for layer, shapes in wanted_shapes(place).items() if layer not in absent
    }
    faults = [f"no layer {layer}" for layer in wanted if layer not in file.layers]
    faults += [f"layer {layer}, which the network does not have" for layer in file.layers if layer not in wanted]
    for layer, shapes in wanted.items():
        present = file.shapes(layer)
        if present and present != shapes:
            faults.append(f"{layer} with {_told(present)} in place of {_told(shapes)}")
    if faults:
        raise CheckpointRefused(
            f"the {len(wanted)} layers of the authors' network in the widths of this file",
            f"{file.name} with {len(faults)} faults: {'; '.join(faults[:3])}{'; ...' if len(faults) > 3 else ''}",
            "use the file as its authors published it; a file is imported whole or not at all",
        )


def _told(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{role} {shape}" for role, shape in sorted(shapes.items()))
