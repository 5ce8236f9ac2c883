"""The same network, rewritten to be quicker where nothing is learnt any more.

Rewrites that leave the function as it was, up to rounding:

* a normalisation behind a convolution goes into its weights and bias;
* a normalisation before ReLU and a 1x1 convolution, as everywhere in a dense block, becomes a bound per channel:
  relu(a x + b) is a max(x, -b/a) + b, so one comparison is left, and a and b go into the convolution. Not in bfloat16,
  whose eight bits hold neither the bounds nor what they shift well where means are large beside deviations;
* a transition takes the mean over windows first and the 1x1 convolution of that: the two commute, and there is a
  quarter, or an eighth, to multiply. Not where a network wants the map between the two;
* nearest-neighbour growth and the convolution of kernel 3 behind it become one transposed convolution of kernel 4 and
  stride 2: weights that meet the same pixel of the small map are added. Four multiplications per pixel instead of
  nine, in 3D eight instead of 27. Not where a long connection is added in between: it would need a convolution of its
  own, as dear as the one that was there, and the transposed one on top. There the small map is added to the tap without
  being enlarged in memory first;
* channels last, rectification in place, no dropout;
* volumes in float32 on the CPU always go to oneDNN: for small ones in batches of one torch has a slow way of its own.
"""

import copy
from typing import cast

import torch
from torch import nn

from networks.dense_decoder import UpStage
from networks.dense_unet import DenseUNet
from networks.dense_unet_3d import DenseUNet3D
from networks.densenet import DenseBlock, DenseEncoder, DenseLayer, DenseNet, Transition
from networks.folding import fold_before, fold_behind, replace
from networks.h_dense_unet import HDenseUNet, HybridFusion
from networks.inference_layers import (
    AddedUpStage,
    Bound,
    Classifier,
    DoublingStage,
    Entrance,
    Exit,
    Fusion,
    MeanOverWindows,
    VolumeConvolution,
)
from networks.layers import BatchNorm, Convolution
from networks.unet import UNet
from networks.unet_encoder import NestedEncoder
from networks.unet_plus_plus import UNetPlusPlus
from networks.unet_unit import Unit

_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def for_inference(network: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy that computes the same in evaluation mode, quicker.

    The copy has the class and the public methods of the network. Its parameters are its own, with other names and
    shapes, and no longer learn; the network is left as it was. The copy answers in evaluation mode only, and gradients
    through it are not supported: explanations need the network itself. A UNet++ is pruned first and rewritten then. A
    module of which nothing is known comes back as a plain copy, whatever the dtype.

    Args:
        network: DenseNet, either DenseUNet, H-DenseUNet, U-Net, UNet++, or a module that holds some of them.
        dtype: What to compute in: torch.float32, torch.bfloat16, or None for what the network has. Inputs are cast on
            their way in, logits come out in the network's own type, feature maps in `dtype`. Without a change of type
            the answers differ by rounding.

    Returns:
        The copy, in evaluation mode, on the same device.

    Raises:
        ValueError: if the dtype is another, or the network is such a copy already.
    """
    if dtype not in {None, torch.float32, torch.bfloat16}:
        raise ValueError(f"expected torch.float32, torch.bfloat16 or None, got {dtype}; float16 is too narrow for CT")
    if any(isinstance(part, Classifier | Exit) for part in network.modules()):
        raise ValueError("expected a network as it was built, got one rewritten for inference; keep the first for this")
    rewritten = copy.deepcopy(network).eval().requires_grad_(False)
    known = [part for part in rewritten.modules() if isinstance(part, _NETWORKS)]
    if not known:
        return rewritten
    parts = list(dict.fromkeys(inner for network_part in known for inner in network_part.modules()))
    own = next(known[0].parameters()).dtype
    with torch.no_grad():
        for part in parts:
            _rewrite_part(part, dtype or own)
        for part in parts:
            _rewrite_ends(part, own)
        for part in known:
            _cast(part, dtype or own)
            _convolve_volumes(part)
    return rewritten.eval()


def _rewrite_part(part: nn.Module, dtype: torch.dtype) -> None:
    """Rewrite an encoder, a decoder, a unit or a fusion, in place."""
    if isinstance(part, DenseEncoder):
        _rewrite_encoder(part, dtype)
    elif isinstance(part, Unit):
        _rewrite_unit(part)
    elif isinstance(part, DenseUNet | DenseUNet3D):
        last = len(part.decoder) - 1
        for index, stage in enumerate(cast("list[UpStage]", list(part.decoder))):
            fold_behind(stage.conv, stage.norm)
            connected = part.config.skips and index < last
            part.decoder[index] = AddedUpStage(stage) if connected else DoublingStage(stage)
    elif isinstance(part, HDenseUNet):
        part.fusion = cast(HybridFusion, Fusion(part.fusion))


def _rewrite_ends(part: nn.Module, own: torch.dtype) -> None:
    """Put casts where a network begins and ends."""
    if isinstance(part, DenseEncoder):
        part.conv0 = Entrance(cast(Convolution, part.conv0))
    elif isinstance(part, UNet):
        _enter(part.analysis[0])
    elif isinstance(part, UNetPlusPlus):
        _enter(part.units["x_0_0"])
        for name, head in part.heads.items():
            part.heads[name] = Exit(head, own)
    elif isinstance(part, DenseNet):
        part.classifier = cast(nn.Linear, Classifier(part.classifier))
    elif isinstance(part, HDenseUNet):
        part.fusion.head = cast(Convolution, Exit(part.fusion.head, own))
    if isinstance(part, DenseUNet | DenseUNet3D | UNet):
        part.head = cast(Convolution, Exit(part.head, own))


def _enter(unit: nn.Module) -> None:
    unit.conv1 = Entrance(cast(Convolution, unit.conv1))


def _rewrite_encoder(encoder: DenseEncoder, dtype: torch.dtype) -> None:
    fold_behind(cast(Convolution, encoder.conv0), cast(BatchNorm, encoder.norm0))
    del encoder.norm0
    encoder.relu0 = nn.ReLU(inplace=True)
    for stage in encoder.children():
        if isinstance(stage, DenseBlock):
            for layer in stage:
                _rewrite_layer(cast(DenseLayer, layer), dtype)
        elif isinstance(stage, Transition):
            # A UNet++ takes what is between convolution and pooling.
            _rewrite_transition(stage, dtype, pool_first=not isinstance(encoder, NestedEncoder))


def _rewrite_transition(transition: Transition, dtype: torch.dtype, *, pool_first: bool) -> None:
    conv, pool = cast(Convolution, transition.conv), cast(nn.AvgPool2d | nn.AvgPool3d, transition.pool)
    rectified = _rectified(cast(BatchNorm, transition.norm), conv, dtype)
    mean = MeanOverWindows(pool, cast(tuple[int, ...], pool.kernel_size))
    _refill(transition, rectified, *((mean, conv) if pool_first else (conv, mean)))


def _rewrite_layer(layer: DenseLayer, dtype: torch.dtype) -> None:
    conv1 = cast(Convolution, layer.conv1)
    fold_behind(conv1, cast(BatchNorm, layer.norm2))
    rectified = _rectified(cast(BatchNorm, layer.norm1), conv1, dtype)
    _refill(layer, rectified, conv1, nn.ReLU(inplace=True), cast(Convolution, layer.conv2))


def _refill(row: nn.Sequential, *parts: nn.Module) -> None:
    """Put other parts in place of all there are."""
    del row[:]
    for part in parts:
        row.append(part)


def _rectified(norm: BatchNorm, conv: Convolution, dtype: torch.dtype) -> nn.Module:
    """A normalisation and its ReLU as bounds, what they leave to do put into the convolution after them, in place."""
    if dtype == torch.bfloat16:
        return nn.Sequential(norm, nn.ReLU(inplace=True))
    folded = fold_before(norm, conv, dtype)
    replace(conv, folded.weight, folded.bias)
    return Bound(folded.low, folded.high)


def _rewrite_unit(unit: Unit) -> None:
    for index in (1, 2):
        norm = getattr(unit, f"norm{index}", None)
        if norm is not None:
            fold_behind(getattr(unit, f"conv{index}"), norm)
            delattr(unit, f"norm{index}")
        setattr(unit, f"relu{index}", nn.ReLU(inplace=True))
        delattr(unit, f"dropout{index}")


def _cast(part: nn.Module, dtype: torch.dtype) -> None:
    """Give tensors their type, and kernels the layout of the maps; normalisations and classifiers keep their type."""
    if isinstance(part, BatchNorm | Classifier):
        return
    for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
        kernel = _LAYOUTS.get(tensor.ndim, torch.contiguous_format)
        # Made new: a kernel for one channel counts as laid out either way, and would be left as it is.
        tensor.data = torch.empty_like(tensor, dtype=dtype, memory_format=kernel).copy_(tensor)
    for child in part.children():
        _cast(child, dtype)


def _convolve_volumes(part: nn.Module) -> None:
    for name, child in list(part.named_children()):
        if isinstance(child, nn.Conv3d):
            setattr(part, name, VolumeConvolution(child))
        else:
            _convolve_volumes(child)


_NETWORKS = (DenseNet, DenseUNet, DenseUNet3D, HDenseUNet, UNet, UNetPlusPlus)
