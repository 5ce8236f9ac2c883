"""DenseUNet, the 2D network of H-DenseUNet.

Li, Chen, Qi, Dou, Fu, Heng, "H-DenseUNet: Hybrid Densely Connected UNet for Liver and Tumor Segmentation from CT
Volumes", IEEE TMI 37(12), 2018 (arXiv 1709.07330), section III-B and table I. DenseNet-161 going down, nearest
neighbours, summation and 3x3 convolutions going up; 49,527,843 parameters (44,862,339 without long connections).

The paper describes long connections; the authors' released model was trained without them (xmengli/H-DenseUNet#9). The
paper's network is the default here and `skips: false` is the other.

What follows the reference code exactly: long connections are sums, never concatenations; the taps are what their dense
blocks concatenate, neither normalised nor rectified; only where widths differ (2112 and 2208 at the deepest level of
the published network) a 1x1 convolution with bias adapts the tap; epsilons of the normalisations (1.1e-5 going down,
1e-3 going up) and their momentum; decoder convolutions with bias, one dropout, decoder weights from N(0, 0.05^2).

Deviations from the reference code:

* each normalisation of the encoder is followed there by a layer `Scale`, a second affine map; two affine maps in a row
  are one, so here it is the normalisation's own;
* sizes that 32 does not divide are padded inside by repeating the edge, and the result is cropped;
* channels of the decoder follow the taps of whatever encoder there is; for DenseNet-161 they are the published ones;
* the encoder of a new network is He normal (Keras: Glorot uniform); published runs start from ImageNet weights;
* `scse` puts a recalibration behind each stage going up, which neither paper nor code has (`networks.scse`).
"""

from torch import Tensor, nn

from networks.configs import DenseUNetConfig
from networks.dense_decoder import ENCODER_NORM_EPS, DecoderPlan, climb, decoder, keras_normal
from networks.densenet import DenseEncoder, DenseStyle
from networks.layers import check_input, convolution, crop_to_size, he_normal, pad_to_multiple


class DenseUNet(nn.Module):
    """DenseUNet-167 and its narrower relatives.

    `encoder` carries torchvision's names, so the `features` of a DenseNet of the same widths load into it as they are.
    """

    def __init__(self, config: DenseUNetConfig) -> None:
        super().__init__()
        self.config = config
        style = DenseStyle(
            2, norm_eps=ENCODER_NORM_EPS, norm_momentum=config.norm_momentum, checkpointing=config.checkpointing
        )
        self.encoder = DenseEncoder(style, config.in_channels, config.widths)
        taps = self.encoder.tap_channels[::-1]  # 2112, 768, 384, 96 in the published network
        plan = DecoderPlan(
            factors=((2, 2),) * (len(taps) + 1),
            widths=(self.encoder.out_channels, *taps[1:], taps[-1], config.feature_channels),
            taps=taps if config.skips else (),
            dropout=config.dropout,
            norm_momentum=config.norm_momentum,
            scse=config.scse,
        )
        self.decoder = decoder(plan)
        self.head = convolution(2, config.feature_channels, config.out_channels, 1)
        he_normal(self.encoder)
        keras_normal(self.decoder, self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the slice in the middle of the channels; softmax belongs to the loss.

        Args:
            x: (N, in_channels, H, W), any H and W.

        Returns:
            (N, out_channels, H, W); an empty batch gives an empty batch in evaluation mode.

        Raises:
            ValueError: if the shape is not that.
        """
        return self.features_and_logits(x)[1]

    def features_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The full-resolution map that hybrid feature fusion adds to its 3D twin, and the logits made of it.

        Args:
            x: (N, in_channels, H, W), any H and W.

        Returns:
            (N, feature_channels, H, W) after the ReLU, and (N, out_channels, H, W).

        Raises:
            ValueError: if the shape is not that.
        """
        check_input(x, 2, self.config.in_channels)
        size = x.shape[2:]
        x = pad_to_multiple(x, self.config.divisor)  # (N, in_channels, H', W')
        *taps, x = self.encoder.taps(x)  # taps (N, c, H' / 2, W' / 2) and on; x (N, C, H' / 32, W' / 32)
        x = climb(self.decoder, x, taps if self.config.skips else [])  # (N, feature_channels, H', W')
        logits = self.head(x)  # (N, out_channels, H', W')
        return crop_to_size(x, size), crop_to_size(logits, size)


Network = DenseUNet
