"""Pyramids we write: openslide, tiffslide and tifffile read what the source held, at the pixel size it was given."""

from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
import tiffslide

import datasets.io.slide_tiff
from datasets.errors import ConfigError
from datasets.io.slide_pyramid import ArraySource, PyramidLevel, plan_levels
from datasets.io.slide_tiff import PyramidOptions, write_array_pyramid, write_pyramid_tiff
from datasets.phantoms import SlidePhantom, slide_phantom


class Waves:
    """A smooth slide by formula, white to the left of `glass_um`; notes what it is asked for."""

    def __init__(self, size_um: tuple[float, float], glass_um: float = 0.0) -> None:
        self.size_um = size_um
        self.glass_um = glass_um
        self.most_pixels = 0

    def read(self, x_um: float, y_um: float, columns: int, rows: int, mpp: float) -> np.ndarray:
        self.most_pixels = max(self.most_pixels, columns * rows)
        x = (x_um + mpp * (np.arange(columns) + 0.5))[None, :, None]
        y = (y_um + mpp * (np.arange(rows) + 0.5))[:, None, None]
        phase = np.arange(3)
        picture = 120 + 60 * np.sin(x / 90 + phase) + 35 * np.cos(y / 70 - 2 * phase)
        return np.rint(np.where(x < self.glass_um, 245, picture)).astype(np.uint8)


SLIDE = Waves((700.0, 450.0))


def opened(path: Path) -> list[Any]:
    return [openslide.OpenSlide(path), tiffslide.TiffSlide(path)]


def rgb(slide: Any, x: int, y: int, level: int, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(slide.read_region((x, y), level, size).convert("RGB")).astype(int)


@pytest.mark.parametrize("compression", ["none", "deflate"])
@pytest.mark.parametrize("aperio", [False, True])
def test_lossless_files_hold_every_pixel_of_every_level(compression: str, aperio: bool, tmp_path: Path) -> None:
    options = PyramidOptions(compression, aperio=aperio, smallest_px=400)  # type: ignore[arg-type]
    path = write_pyramid_tiff(SLIDE, tmp_path / "new" / "a.tif", 0.5, options)
    for slide in opened(path):
        with slide:
            assert slide.dimensions == (1400, 900)
            assert slide.level_dimensions == ((1400, 900), (700, 450), (350, 225))
            for name in ("mpp-x", "mpp-y"):
                found = [float(value) for key, value in slide.properties.items() if key.endswith(f"slide.{name}")]
                assert found == [pytest.approx(0.5, rel=1e-6)]
            for level, mpp in enumerate((0.5, 1.0, 2.0)):
                columns, rows = slide.level_dimensions[level]
                np.testing.assert_array_equal(
                    rgb(slide, 0, 0, level, (columns, rows)), SLIDE.read(0, 0, columns, rows, mpp)
                )


def test_jpeg_comes_close(tmp_path: Path) -> None:
    path = write_pyramid_tiff(SLIDE, tmp_path / "a.tif", 0.5)
    for slide in opened(path):
        with slide:
            away = np.abs(rgb(slide, 100, 50, 0, (600, 500)) - SLIDE.read(50, 25, 600, 500, 0.5))
            assert away.mean() < 1.5
            assert away.max() <= 8


def test_openslide_takes_the_svs_layout_for_one(tmp_path: Path) -> None:
    path = write_pyramid_tiff(SLIDE, tmp_path / "a.svs", 0.25, PyramidOptions(aperio=True))
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.properties["aperio.MPP"] == "0.2500"
        assert float(slide.properties["openslide.objective-power"]) == 40
        thumbnail = slide.associated_images["thumbnail"]
        assert max(thumbnail.size) <= 512
        assert slide.level_count == 4
    with tifffile.TiffFile(path) as file:
        assert file.is_svs
        assert not file.is_bigtiff


class Part:
    """A part of a phantom as a slide of its own."""

    def __init__(self, phantom: SlidePhantom, left_um: float, top_um: float, size_um: tuple[float, float]) -> None:
        self.phantom, self.left_um, self.top_um, self.size_um = phantom, left_um, top_um, size_um

    def read(self, x_um: float, y_um: float, columns: int, rows: int, mpp: float) -> np.ndarray:
        return self.phantom.read(self.left_um + x_um, self.top_um + y_um, columns, rows, mpp)


def test_the_same_phantom_at_20x_and_40x(tmp_path: Path) -> None:
    part = Part(slide_phantom(3, (600.0, 600.0)), 200.0, 200.0, (160.0, 120.0))
    pictures = []
    for mpp in (0.5, 0.25):
        path = write_pyramid_tiff(part, tmp_path / f"{mpp}.svs", mpp, PyramidOptions("deflate", aperio=True))
        with openslide.OpenSlide(path) as slide:
            assert slide.dimensions == (160 / mpp, 120 / mpp)
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(mpp)
            pictures.append(rgb(slide, round(40 / mpp), round(20 / mpp), 0, (round(100 / mpp), round(100 / mpp))))
    halved = pictures[1].reshape(200, 2, 200, 2, 3).mean((1, 3))
    assert np.abs(halved - pictures[0]).mean() < 2.5


@pytest.mark.parametrize("aperio", [False, True])
def test_sparse_files_leave_out_glass(aperio: bool, tmp_path: Path) -> None:
    slide = Waves((1024.0, 512.0), glass_um=700.0)
    full = write_pyramid_tiff(slide, tmp_path / "full.tif", 0.5, PyramidOptions(aperio=aperio))
    sparse = write_pyramid_tiff(slide, tmp_path / "sparse.tif", 0.5, PyramidOptions(sparse=True, aperio=aperio))
    with tifffile.TiffFile(sparse) as file:
        counts = np.reshape(file.pages[0].databytecounts, (4, 8))  # type: ignore[union-attr]
        # Columns of tiles of 128 um: five lie on glass wholly.
        assert ((counts == 0) == (np.arange(8) < 5)).all()
    assert sparse.stat().st_size < 0.9 * full.stat().st_size
    for one, other in zip(opened(sparse), opened(full), strict=True):
        with one, other:
            np.testing.assert_array_equal(rgb(one, 1300, 100, 0, (600, 600)), rgb(other, 1300, 100, 0, (600, 600)))
            assert not np.asarray(one.read_region((10, 10), 0, (50, 50)))[..., :3].any()


def test_a_sparse_blank_slide_can_still_be_opened(tmp_path: Path) -> None:
    options = PyramidOptions("none", sparse=True)
    path = write_pyramid_tiff(Waves((300.0, 300.0), glass_um=999.0), tmp_path / "a.tif", 0.5, options)
    assert path.stat().st_size < 4000
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (600, 600)


def test_memory_stays_at_a_run_of_tiles(tmp_path: Path) -> None:
    slide = Waves((9000.0, 300.0))
    write_pyramid_tiff(slide, tmp_path / "a.tif", 1.0)
    assert slide.most_pixels <= 2048 * 256


def test_large_files_become_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.io.slide_tiff, "_BIG_BYTES", 4_000_000)
    for compression, big in (("none", True), ("jpeg", False)):
        # 1400 x 900 RGB in tiles and half as much again: 6.5 MB, and at most half of it as JPEG.
        path = write_pyramid_tiff(SLIDE, tmp_path / f"{compression}.tif", 0.5, PyramidOptions(compression))  # type: ignore[arg-type]
        with tifffile.TiffFile(path) as file:
            assert file.is_bigtiff == big
        with openslide.OpenSlide(path) as slide:
            assert slide.dimensions == (1400, 900)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_maps_keep_their_values_and_average_downwards(channels: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    shape = (301, 517) if channels == 1 else (301, 517, channels)
    array = rng.integers(0, 256, shape, dtype=np.uint8)
    options = PyramidOptions("deflate", smallest_px=300, origin_um=(1234.5, 678.25))
    path = write_array_pyramid(array, tmp_path / "heat.tif", 16.0, options)
    with tifffile.TiffFile(path) as file:
        levels = file.series[0].levels
        np.testing.assert_array_equal(levels[0].asarray(), array)
        # The mean over 2 x 2, at odd edges over what is there.
        double = array.astype(float)
        rows = [double[n : n + 2].mean(axis=0) for n in range(0, 301, 2)]
        expected = np.stack([np.stack(rows)[:, n : n + 2].mean(axis=1) for n in range(0, 517, 2)], axis=1)
        np.testing.assert_allclose(levels[1].asarray(), expected, atol=0.51)
        tags = file.pages[0].tags  # type: ignore[union-attr]
        for name, expected_um in (("XPosition", 1234.5), ("YPosition", 678.25), ("XResolution", None)):
            upper, lower = tags[name].value
            if expected_um is not None:
                assert upper / lower * 10_000 == pytest.approx(expected_um, abs=0.01)
            else:
                assert 10_000 * lower / upper == pytest.approx(16.0)
    with tiffslide.TiffSlide(path) as slide:
        assert slide.properties["tiffslide.mpp-x"] == pytest.approx(16.0)
        assert slide.level_dimensions == ((517, 301), (259, 151))


def test_labels_are_never_mixed(tmp_path: Path) -> None:
    labels = np.zeros((600, 600), dtype=np.uint8)
    labels[:301, :301] = 7
    options = PyramidOptions("deflate", factor=4, sparse=True)
    path = write_array_pyramid(labels, tmp_path / "labels.tif", 2.0, options, nearest=True)
    with tifffile.TiffFile(path) as file:
        levels = file.series[0].levels
        np.testing.assert_array_equal(levels[1].asarray(), labels[::4, ::4])
        np.testing.assert_array_equal(levels[0].asarray(), labels)
        # Three by three tiles, of which the two by two at the upper left hold something.
        assert np.count_nonzero(levels[0].pages[0].databytecounts) == 4


def test_the_same_slide_gives_the_same_file(tmp_path: Path) -> None:
    paths = [write_pyramid_tiff(SLIDE, tmp_path / name, 0.5, PyramidOptions(aperio=True)) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]


def test_levels_halve_until_small_enough() -> None:
    levels = plan_levels((1000.0, 300.0), 0.25, 2, 512)
    assert levels[:2] == (PyramidLevel(4000, 1200, 0.25), PyramidLevel(2000, 600, 0.5))
    assert levels[-1] == PyramidLevel(500, 150, 2.0)
    assert [level.columns for level in plan_levels((1000.0, 300.0), 0.25, 4, 512)] == [4000, 1000, 250]
    assert len(plan_levels((10.0, 10.0), 1.0, 2, 512)) == 1


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        (PyramidOptions(tile_px=100), 3),
        (PyramidOptions("jpeg"), 4),
        (PyramidOptions("none", aperio=True), 1),
        (PyramidOptions("none"), 2),
        (PyramidOptions("none", factor=1), 3),
        (PyramidOptions("none", origin_um=(-1.0, 0.0)), 3),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: PyramidOptions, channels: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write_array_pyramid(np.ones((40, 40, channels), dtype=np.uint8), tmp_path / "a.tif", 1.0, options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("array", [np.ones((4, 4)), np.ones((0, 4), dtype=np.uint8), np.ones(4, dtype=np.uint8)])
def test_arrays_of_another_kind_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        ArraySource(array, 1.0)


@pytest.mark.parametrize(
    "place", [(0.5, 0.0, 2, 2, 1.0), (0, 0, 2, 2, 1.5), (0, 0, 5, 2, 1.0), (-1.0, 0, 2, 2, 1.0), (0, 0, 2, 2, 0.2)]
)
def test_arrays_are_read_on_their_grid_only(place: tuple[float, float, int, int, float]) -> None:
    with pytest.raises(ConfigError):
        ArraySource(np.ones((4, 4), dtype=np.uint8), 1.0).read(*place)
