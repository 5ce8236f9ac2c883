"""The 3D DenseUNet, the volume network of H-DenseUNet.

Li, Chen, Qi, Dou, Fu, Heng, "H-DenseUNet: Hybrid Densely Connected UNet for Liver and Tumor Segmentation from CT
Volumes", IEEE TMI 37(12), 2018 (arXiv 1709.07330), section III-C and table I. Four dense blocks of 3, 4, 12 and 8
layers (k = 32) going down, nearest neighbours and 3x3x3 convolutions going up; in-plane the encoder halves five times,
through the slices twice: transitions leave the depth alone.

The paper draws long connections; the authors' code has them commented out, and with the widths of its decoder (504,
224, 192, 96, 64) they cannot be put back, since 504 channels would meet a tap of 224. Here long connections are the
default, with the decoder narrowed to the taps (224, 192, 96, 96, 64) as the 2D network of the same paper does it: one
1x1x1 adapter at the deepest level makes the 65 convolutions of the name. `skips: false` is the authors' network with
its own widths (15,977,467 parameters for the four channels of H-DenseUNet).

Further deviations from the reference code:

* axes are (D, H, W) with D the slice axis, there (x, y, z): convolutions over few slices are two to three times as
  fast with the short axis first;
* each normalisation is followed there by a layer `Scale`; two affine maps in a row are one;
* sizes that 32 (in-plane) and 4 (slices) do not divide are padded inside by repeating the edge, and cropped;
* weights of a new encoder are He normal (Keras: Glorot uniform), those of the decoder N(0, 0.05^2) as in the 2D code.
"""

from torch import Tensor, nn

from networks.configs import DenseUNet3DConfig
from networks.dense_decoder import ENCODER_NORM_EPS, DecoderPlan, climb, decoder, keras_normal
from networks.densenet import DenseEncoder, DenseStyle
from networks.layers import check_input, convolution, crop_to_size, he_normal, pad_to_multiple


class DenseUNet3D(nn.Module):
    """DenseUNet-65 and its narrower relatives."""

    def __init__(self, config: DenseUNet3DConfig) -> None:
        super().__init__()
        self.config = config
        style = DenseStyle(
            3,
            norm_eps=ENCODER_NORM_EPS,
            norm_momentum=config.norm_momentum,
            keep_depth=True,
            checkpointing=config.checkpointing,
        )
        self.encoder = DenseEncoder(style, config.in_channels, config.widths)
        self.decoder = decoder(_plan(config, self.encoder))
        self.head = convolution(3, config.feature_channels, config.out_channels, 1)
        he_normal(self.encoder)
        keras_normal(self.decoder, self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a volume; softmax belongs to the loss.

        Args:
            x: (N, in_channels, D, H, W), any size.

        Returns:
            (N, out_channels, D, H, W); an empty batch gives an empty batch in evaluation mode.

        Raises:
            ValueError: if the shape is not that.
        """
        return self.features_and_logits(x)[1]

    def features_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The full-resolution map that hybrid feature fusion adds to its 2D twin, and the logits made of it.

        Args:
            x: (N, in_channels, D, H, W), any size.

        Returns:
            (N, feature_channels, D, H, W) after the ReLU, and (N, out_channels, D, H, W).

        Raises:
            ValueError: if the shape is not that.
        """
        features = self.features(x)
        logits: Tensor = self.head(features)  # (N, out_channels, D, H, W)
        return features, logits

    def features(self, x: Tensor) -> Tensor:
        """The full-resolution map alone: (N, in_channels, D, H, W) to (N, feature_channels, D, H, W).

        Raises:
            ValueError: if the shape is not that.
        """
        check_input(x, 3, self.config.in_channels)
        size = x.shape[2:]
        in_plane = self.config.divisor
        x = pad_to_multiple(x, (self.config.depth_divisor, in_plane, in_plane))  # (N, in_channels, D', H', W')
        *taps, x = self.encoder.taps(x)  # taps (N, c, D' / 2, H' / 2, W' / 2) and on; x (.., D' / 4, H' / 32, W' / 32)
        x = climb(self.decoder, x, taps if self.config.skips else [])  # (N, feature_channels, D', H', W')
        return crop_to_size(x, size)


def _plan(config: DenseUNet3DConfig, encoder: DenseEncoder) -> DecoderPlan:
    """In-plane every stage doubles; the slices, halved by stem and pooling alone, are doubled by the last two."""
    taps = encoder.tap_channels[::-1]  # 496, 224, 192, 96 in the published network
    # Authors' denseunet3d.py: without long connections the first stage keeps its width and the others follow.
    narrowing = (*taps[1:], taps[-1]) if config.skips else (encoder.out_channels, *taps[1:])
    return DecoderPlan(
        factors=((1, 2, 2),) * (len(taps) - 1) + ((2, 2, 2),) * 2,
        widths=(encoder.out_channels, *narrowing, config.feature_channels),
        taps=taps if config.skips else (),
        dropout=config.dropout,
        norm_momentum=config.norm_momentum,
    )


Network = DenseUNet3D
