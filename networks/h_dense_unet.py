"""H-DenseUNet: a 2D network for what is within slices, a 3D one for what runs through them, fused.

Li, Chen, Qi, Dou, Fu, Heng, "H-DenseUNet: Hybrid Densely Connected UNet for Liver and Tumor Segmentation from CT
Volumes", IEEE TMI 37(12), 2018 (arXiv 1709.07330), section III and figure 2. Every slice goes, between its two
neighbours, through a 2D DenseUNet; a 3D DenseUNet sees the CT beside the class maps that came out (auto-context); the
64-channel maps of both are added and a convolution decides (hybrid feature fusion, section III-C). 60,950,785
parameters in the authors' released form, 65,616,289 with long connections in the 2D network, 59,255,953 with long
connections in both, which let the 3D decoder be narrower.

Training has three stages (section III-D), the config's `stage`: the 2D network alone; the 3D one and the fusion with
the 2D one frozen, its statistics included; everything, with the statistics of all normalisations frozen.

Where paper and code (xmengli/H-DenseUNet, hybridnet.py) disagree, the paper is the default:

* the 3D network sees probabilities; in the code it sees logits (`context: logits`). Both are multiplied by 250, which
  makes them as large as Hounsfield units (`context_scale`; the paper is silent about it);
* long connections, see `networks.dense_unet_3d`. The released model has none in either network (`skips: false`);
* dropout of the fusion is 0.3 in hybridnet.py and 0.1 in denseunet3d.py.

Deviations from the reference code:

* axes are (D, H, W), there (x, y, z);
* any depth and any size: padded by repeating the edge to multiples of 4 and 32 before anything else, then cropped. The
  reference needs 8 slices or more and never predicts the first and the last;
* end to end, all normalisations keep their statistics. The code leaves those of the 3D stem, the 3D decoder and the
  fusion running, on batches of one, which the paper does not say;
* the auxiliary 3D head exists, gets a loss only if somebody asks for it (`head_logits`), and is not run in evaluation.

In evaluation the 2D network need not run once per window: `slice_maps` and `fuse` are the two halves of `forward`, and
`pipelines.slice_stream` streams the first half's answers along the slices.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.configs import HDenseUNetConfig
from networks.dense_decoder import DECODER_NORM_EPS
from networks.dense_unet import DenseUNet
from networks.dense_unet_3d import DenseUNet3D
from networks.layers import (
    batch_norm,
    check_input,
    convolution,
    crop_to_size,
    he_normal,
    pad_to_multiple,
)


class HybridLogits(NamedTuple):
    """Logits (N, classes, D, H, W) of the fusion, of the 2D network and of the 3D one."""

    fused: Tensor
    slices: Tensor
    volume: Tensor


class HybridFusion(nn.Module):
    """Sum, 3x3x3 convolution, dropout, normalisation, ReLU, head."""

    def __init__(self, config: HDenseUNetConfig) -> None:
        super().__init__()
        channels = config.volume_network.feature_channels
        self.conv = convolution(3, channels, channels, 3)
        self.dropout = nn.Dropout(config.dropout)
        self.norm = batch_norm(3, channels, eps=DECODER_NORM_EPS, momentum=config.norm_momentum)
        self.head = convolution(3, channels, config.out_channels, 1)
        he_normal(self)

    def forward(self, volume: Tensor, slices: Tensor) -> Tensor:
        """Two maps (N, features, D, H, W) to logits (N, classes, D, H, W)."""
        x = self.dropout(self.conv(volume + slices))  # (N, features, D, H, W)
        logits: Tensor = self.head(functional.relu(self.norm(x)))  # (N, classes, D, H, W)
        return logits


class HDenseUNet(nn.Module):
    """The hybrid network, trained as the `stage` of its config says."""

    def __init__(self, config: HDenseUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.slice_network = DenseUNet(config.slice_network)
        self.volume_network = DenseUNet3D(config.volume_network)
        self.fusion = HybridFusion(config)
        for part in self._untrained():
            part.requires_grad_(False)
        self.train()

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of a CT volume; first and last slices stand beside themselves.

        Args:
            x: (N, 1, D, H, W), any size.

        Returns:
            In evaluation mode the fused logits (N, classes, D, H, W). In training mode a list of what the stage has
            losses for: `slices` the 2D network's logits, `volume` the fused ones, `end_to_end` both, fused last.

        Raises:
            ValueError: if the shape is not that.
        """
        check_input(x, 3, 1)
        if not self.training:
            # Padded before slices get neighbours: the last one stands beside itself, as in a volume padded by hand.
            return crop_to_size(self.logits_between(adjacent_slices(self._padded(x))), x.shape[2:])
        if self.config.stage == "slices":
            return [self._slices(adjacent_slices(x))[1]]
        heads = self.head_logits(x)
        return [heads.fused] if self.config.stage == "volume" else [heads.slices, heads.fused]

    def logits_between(self, adjacent: Tensor) -> Tensor:
        """Fused logits of a window that knows the slices beside each of its own.

        Args:
            adjacent: (N, 3, D, H, W): the slice below, itself, the one above; for a window inside a volume the true
                neighbours of its first and last slice.

        Returns:
            (N, classes, D, H, W).

        Raises:
            ValueError: if the shape is not that.
        """
        check_input(adjacent, 3, 3)
        padded = self._padded(adjacent)  # (N, 3, D', H', W')
        features, logits = self._slices(padded)
        fused = self.fuse(self._seen(padded, logits), features)  # (N, classes, D', H', W')
        return crop_to_size(fused, adjacent.shape[2:])

    def head_logits(self, x: Tensor) -> HybridLogits:
        """Logits of all three heads, in any mode.

        Args:
            x: (N, 1, D, H, W), any size.

        Raises:
            ValueError: if the shape is not that.
        """
        check_input(x, 3, 1)
        padded = adjacent_slices(self._padded(x))  # (N, 3, D', H', W')
        features, slices = self._slices(padded)
        own, volume = self.volume_network.features_and_logits(self._seen(padded, slices))
        fused = self.fusion(own, features)  # (N, classes, D', H', W')
        return HybridLogits(*(crop_to_size(logits, x.shape[2:]) for logits in (fused, slices, volume)))

    def slice_maps(self, slices: Tensor) -> Tensor:
        """The first half: what the rest of the network needs to know about slices, each on its own.

        Args:
            slices: (N, 3, H, W): each slice between its neighbours, H and W multiples of `config.divisor`.

        Returns:
            (N, 1 + classes + features, H, W): the CT, its class maps as the 3D network sees them, the 2D features.
        """
        features, logits = self.slice_network.features_and_logits(slices)
        # In the type of the features: a network that computes in bfloat16 must not be widened by its inputs.
        return torch.cat([self._seen(slices, logits).to(features.dtype), features], dim=1)

    def fuse(self, seen: Tensor, features: Tensor) -> Tensor:
        """The second half: the 3D network and the fusion.

        Args:
            seen: (N, 1 + classes, D, H, W): CT and class maps; D a multiple of `config.depth_divisor`.
            features: (N, features, D, H, W): of the 2D network.

        Returns:
            (N, classes, D, H, W).
        """
        logits: Tensor = self.fusion(self.volume_network.features(seen), features)  # (N, classes, D, H, W)
        return logits

    def train(self, mode: bool = True) -> "HDenseUNet":
        """Set the mode of all parts; what the stage does not train stays in evaluation mode."""
        super().train(mode)
        for part in self._untrained():
            part.eval()
        if self.config.stage == "end_to_end":
            for part in self.modules():
                if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
                    part.eval()
        return self

    def _untrained(self) -> tuple[nn.Module, ...]:
        if self.config.stage == "slices":
            return (self.volume_network, self.fusion)
        return (self.slice_network,) if self.config.stage == "volume" else ()

    def _padded(self, x: Tensor) -> Tensor:
        """Repeat the far edges of (N, C, D, H, W) up to what both networks can halve."""
        return pad_to_multiple(x, (self.config.depth_divisor, self.config.divisor, self.config.divisor))

    def _slices(self, adjacent: Tensor) -> tuple[Tensor, Tensor]:
        """The 2D network on (N, 3, D, H, W): features (N, features, D, H, W) and logits (N, classes, D, H, W)."""
        batch, _, depth, *_ = adjacent.shape
        flat = adjacent.transpose(1, 2).flatten(0, 1)  # (N * D, 3, H, W)
        features, logits = self.slice_network.features_and_logits(flat)  # (N * D, features or classes, H, W)
        restacked = (maps.reshape(batch, depth, *maps.shape[1:]).transpose(1, 2) for maps in (features, logits))
        return next(restacked), next(restacked)

    def _seen(self, adjacent: Tensor, logits: Tensor) -> Tensor:
        """What the 3D network sees: slices (N, 3, ...) and their logits (N, classes, ...) to (N, 1 + classes, ...)."""
        maps = torch.softmax(logits, dim=1) if self.config.context == "probabilities" else logits
        return torch.cat([adjacent[:, 1:2], maps * self.config.context_scale], dim=1)


def adjacent_slices(x: Tensor) -> Tensor:
    """Put every slice between its neighbours: (N, 1, D, H, W) to (N, 3, D, H, W); end slices repeat themselves."""
    if x.shape[2] == 0:
        raise ValueError(f"expected at least one slice, got shape {tuple(x.shape)}; check the crop")
    below = torch.cat([x[:, :, :1], x[:, :, :-1]], dim=2)
    above = torch.cat([x[:, :, 1:], x[:, :, -1:]], dim=2)
    return torch.cat([below, x, above], dim=1)


Network = HDenseUNet
