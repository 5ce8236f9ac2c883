"""The one crossing between images and tensors."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.image import Array, Image, Intensity


def as_tensor(image: Image) -> Tensor:
    """An image as networks take it.

    Args:
        image: (C, I, J, K).

    Returns:
        (C, K, J, I) = (C, D, H, W), of the image's dtype, never to be written in place: it shares the image's memory
        where the image is laid out as readers lay it out, and is a copy otherwise.
    """
    array = np.ascontiguousarray(image.array.transpose(0, 3, 2, 1))
    return torch.from_numpy(np.asarray(_Unlocked(array)))


def image_of(tensor: Tensor, intensity: Intensity, affine: NDArray[np.float64] | None) -> Image:
    """The reverse: (C, D, H, W) on the CPU to an image (C, I, J, K) that shares its memory."""
    return Image(tensor.numpy().transpose(0, 3, 2, 1), intensity, affine)


class _Unlocked:
    """The memory of a read-only array under an interface that does not say so.

    torch knows no read-only tensors and warns about arrays that are; the promise of `as_tensor` replaces the warning.
    """

    def __init__(self, array: Array) -> None:
        self.array = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
