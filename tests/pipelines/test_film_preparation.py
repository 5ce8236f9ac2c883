"""From a film as it was read to what a network takes: ranges, shapes, scales."""

import numpy as np
import pytest
from PIL import Image as Picture

from datasets.codes import RefusalCode, RepairCode
from datasets.errors import InputRefused
from datasets.image import Image, Intensity
from networks.configs import Input
from pipelines.film_preparation import contrast, prepared, shown

PLAIN = Input(scale="[0, 1]", channels=1)


def _image(rows: np.ndarray, spacing_mm: tuple[float, float] | None = None, **more: object) -> Image:
    """From (rows, columns) or (3, rows, columns)."""
    planes = rows[np.newaxis] if rows.ndim == 2 else rows
    affine = None if spacing_mm is None else np.diag([*spacing_mm, 1.0, 1.0])
    return Image(planes[:, np.newaxis].transpose(0, 3, 2, 1), Intensity.GREY, affine, **more)  # type: ignore[arg-type]


def _ramp(highest: int, dtype: type = np.uint16, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    return np.linspace(0, highest, shape[0] * shape[1]).reshape(shape).round().astype(dtype)


@pytest.mark.parametrize(
    ("rows", "white", "told"),
    [
        (_ramp(255, np.uint8), 255.0, False),
        (_ramp(200, np.uint8), 255.0, False),
        (_ramp(65535), 65535.0, False),
        (_ramp(4095), 4095.0, True),
        (_ramp(3000), 4095.0, True),
        (_ramp(1023), 1023.0, True),
        (_ramp(16000), 16383.0, True),
        (_ramp(40000), 65535.0, False),
    ],
)
def test_white_is_what_the_bits_in_use_can_hold(rows: np.ndarray, white: float, told: bool) -> None:
    grey, repairs = shown(_image(rows))
    np.testing.assert_allclose(grey, rows / white, atol=1e-6)
    assert [repair.code for repair in repairs] == ([RepairCode.DISPLAY_RANGE_ASSUMED] if told else [])


def test_a_window_decides_what_is_black_and_white() -> None:
    rows = _ramp(4095)
    grey, repairs = shown(_image(rows, shown=(1000.0, 3000.0)))
    np.testing.assert_allclose(grey, np.clip((rows - 1000.0) / 2000.0, 0.0, 1.0), atol=1e-6)
    assert repairs == ()


def test_numbers_without_a_range_are_shown_whole_and_that_is_told() -> None:
    rows = np.linspace(-3.0, 5.0, 600).reshape(20, 30)
    grey, (repair,) = shown(_image(rows))
    np.testing.assert_allclose(grey, (rows + 3.0) / 8.0, atol=1e-6)
    assert repair.code is RepairCode.DISPLAY_RANGE_ASSUMED
    assert "-3 and 5" in repair.message


def test_colours_become_grey_as_pillow_does_it() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (3, 20, 30)).astype(np.uint8)
    grey, (repair,) = shown(_image(planes))
    assert repair.code is RepairCode.COLOUR_CONVERTED
    luma = np.asarray(Picture.fromarray(planes.transpose(1, 2, 0)).convert("L"))
    np.testing.assert_allclose(grey * 255.0, luma, atol=1.0)
    alike, repairs = shown(_image(np.repeat(planes[:1], 3, axis=0)))
    np.testing.assert_array_equal(alike, shown(_image(planes[0]))[0])
    assert repairs == ()


@pytest.mark.parametrize(
    "rows",
    [
        np.full((30, 30), 77, np.uint8),
        np.zeros((30, 30), np.uint16),
        np.full((30, 30), 2048, np.uint16) + (np.indices((30, 30)).sum(0) % 3).astype(np.uint16),
        np.full((30, 30), -1.5),
    ],
)
def test_a_film_that_shows_nothing_is_refused(rows: np.ndarray) -> None:
    with pytest.raises(InputRefused) as raised:
        shown(_image(rows))
    assert raised.value.code is RefusalCode.BLANK_IMAGE


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_refused(wrong: float) -> None:
    rows = np.random.default_rng(2).random((30, 30))
    rows[3, 4] = wrong
    with pytest.raises(InputRefused) as raised:
        shown(_image(rows))
    assert raised.value.code is RefusalCode.NOT_FINITE


def test_contrast_is_the_share_of_greys_in_use() -> None:
    grey = np.linspace(0.2, 0.5, 10_000, dtype=np.float32).reshape(100, 100)
    assert contrast(grey) == pytest.approx(0.98 * 0.3, abs=1e-3)
    grey[0, :50] = 1.0  # A mark of half a hundredth is no contrast.
    assert contrast(grey) < 0.31


def test_a_volume_is_no_film() -> None:
    with pytest.raises(InputRefused) as raised:
        shown(Image(np.zeros((1, 4, 4, 3)), Intensity.GREY))
    assert raised.value.code is RefusalCode.UNSUPPORTED_DIMENSIONS


def test_pixels_that_are_not_square_are_made_square() -> None:
    rows = np.tile(np.linspace(0, 255, 50).astype(np.uint8), (40, 1))
    grey, _ = shown(_image(rows, (0.2, 0.4)))
    assert grey.shape == (80, 50)
    assert shown(_image(rows, (0.2, 0.2)))[0].shape == (40, 50)
    assert shown(_image(rows))[0].shape == (40, 50)


def test_the_middle_the_margin_or_the_whole() -> None:
    grey = np.zeros((4, 8), np.float32)
    grey[:, 2:6] = 1.0
    crop = prepared(grey, PLAIN)
    assert crop.array.shape == (1, 4, 4, 1)
    assert crop.array.min() == 1.0
    pad = prepared(grey, PLAIN.model_copy(update={"fit": "pad"})).array[0, :, :, 0].T
    assert pad.shape == (8, 8)
    np.testing.assert_array_equal(pad[2:6], grey)
    assert not pad[[0, 1, 6, 7]].any()
    stretched = prepared(grey, PLAIN.model_copy(update={"fit": "stretch", "size_px": 8})).array[0, :, :, 0].T
    np.testing.assert_allclose(stretched, np.repeat(grey, 2, axis=0), atol=1e-6)


def test_making_a_film_smaller_averages_its_pixels() -> None:
    grey = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    small = prepared(grey, PLAIN.model_copy(update={"size_px": 16})).array[0, :, :, 0].T
    # A triangle of twice the step, as every antialiased bilinear filter has; the mean of all stays.
    assert small.std() < grey.std() / 2.5
    assert small.mean() == pytest.approx(grey.mean(), abs=0.01)


def test_published_scales_by_formula() -> None:
    grey = np.linspace(0.0, 1.0, 16, dtype=np.float32).reshape(4, 4)
    xrayvision = prepared(grey, Input(scale="", channels=1, low=-1024.0, high=1024.0))
    np.testing.assert_allclose(xrayvision.array[0, :, :, 0].T, (2.0 * grey - 1.0) * 1024.0, atol=1e-3)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    imagenet = prepared(grey, Input(scale="", channels=3, mean=mean, std=std)).array[..., 0].transpose(0, 2, 1)
    for channel in range(3):
        np.testing.assert_allclose(imagenet[channel], (grey - mean[channel]) / std[channel], atol=1e-6)
