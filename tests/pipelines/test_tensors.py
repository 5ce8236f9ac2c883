"""The crossing between images and tensors."""

import numpy as np
import pytest
import torch

from datasets.image import Image, Intensity
from pipelines.tensors import as_tensor, image_of

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def _frames(dtype: type) -> np.ndarray:
    return np.arange(24).reshape(2, 3, 4).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, np.int32, np.float64, np.bool_])
def test_what_readers_give_is_shared(dtype: type) -> None:
    frames = _frames(dtype)
    image = Image.from_slices(frames, Intensity.HOUNSFIELD, AFFINE)
    assert not image.array.flags.writeable
    tensor = as_tensor(image)
    assert tensor.data_ptr() == frames.ctypes.data
    assert tensor.shape == (1, 2, 3, 4)
    np.testing.assert_array_equal(tensor[0].numpy(), frames)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
def test_other_layouts_are_copied(dtype: type) -> None:
    array = np.ascontiguousarray(_frames(dtype).transpose(2, 1, 0))[np.newaxis]
    tensor = as_tensor(Image(array, Intensity.HOUNSFIELD, AFFINE))
    assert tensor.is_contiguous()
    assert tensor.data_ptr() != array.ctypes.data
    np.testing.assert_array_equal(tensor[0].numpy(), _frames(dtype))
    flipped = Image(array[:, ::-1], Intensity.HOUNSFIELD, AFFINE)
    np.testing.assert_array_equal(as_tensor(flipped)[0].numpy(), _frames(dtype)[:, :, ::-1])


def test_a_slab_of_a_larger_array_is_shared_in_place() -> None:
    frames = _frames(np.int16)
    frames.setflags(write=False)
    tensor = as_tensor(Image.from_slices(frames[1:], Intensity.HOUNSFIELD, AFFINE))
    assert tensor.data_ptr() == frames[1:].ctypes.data
    np.testing.assert_array_equal(tensor[0].numpy(), frames[1:])


def test_the_tensor_keeps_the_memory_alive() -> None:
    tensor = as_tensor(Image.from_slices(_frames(np.float32) + 7, Intensity.HOUNSFIELD, AFFINE))
    _ = [np.zeros(24, np.float32) for _ in range(64)]
    np.testing.assert_array_equal(tensor[0].numpy(), _frames(np.float32) + 7)


def test_back_and_forth() -> None:
    tensor = torch.arange(48, dtype=torch.float32).reshape(2, 2, 3, 4)
    image = image_of(tensor, Intensity.PROBABILITY, AFFINE)
    assert (image.channels, image.shape, image.intensity) == (2, (4, 3, 2), Intensity.PROBABILITY)
    assert image.array[1, 3, 2, 1] == tensor[1, 1, 2, 3]
    assert as_tensor(image).data_ptr() == tensor.data_ptr()
    np.testing.assert_array_equal(image.affine, AFFINE)
