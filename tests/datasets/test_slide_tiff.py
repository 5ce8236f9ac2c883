"""TIFF pyramids: levels, pixel sizes, colours and damage, beside what OpenSlide, tifffile and Pillow say."""

from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.slide.opening import SlideFile
from datasets.slide import Slide
from tests.datasets import slide_files as files
from tests.datasets.slide_files import Pixels

RAMP = files.ramp(300, 200)
LEVELS = [RAMP, files.halved(RAMP), files.halved(RAMP, 4)]


def _opened(path: Path) -> Slide:
    return SlideFile(path, "the slide")()


def _whole(slide: Slide, level: int = 0) -> Pixels:
    edge = slide.levels[level]
    with slide.with_mpp(1.0) as square:
        return square.read(0.0, 0.0, edge.columns, edge.rows, edge.downsample)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": True},
        {"compression": "jpeg2000"},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"planarconfig": "separate"},
        {"tile": (48, 80)},
        {"tile": None, "rowsperstrip": 30},
    ],
    ids=str,
)
def test_lossless_pyramids_are_read_bit_by_bit(tmp_path: Path, options: dict[str, object]) -> None:
    writer = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    levels = LEVELS if options.get("tile", True) else LEVELS[:1]
    if options.get("planarconfig"):
        levels = [level.transpose(2, 0, 1) for level in levels]
    path = files.write_pyramid(tmp_path / "a.tif", levels, writer=writer, **options)
    with _opened(path) as slide:
        assert [(level.columns, level.rows) for level in slide.levels] == [(300, 200), (150, 100), (75, 50)][
            : len(levels)
        ]
        assert slide.mpp == pytest.approx((0.25, 0.25))
        for index in range(len(levels)):
            assert np.array_equal(_whole(_opened(path), index), LEVELS[index])


def test_jpeg_is_what_openslide_reads_from_every_level(tmp_path: Path) -> None:
    smooth = [LEVELS[0], LEVELS[1]]
    path = files.write_pyramid(tmp_path / "a.tif", smooth, compression="jpeg", compressionargs={"level": 90})
    with openslide.OpenSlide(path) as other, _opened(path) as slide:
        assert [(level.columns, level.rows) for level in slide.levels] == list(other.level_dimensions)
        assert [level.downsample for level in slide.levels] == pytest.approx(list(other.level_downsamples))
        assert slide.mpp == pytest.approx(
            (float(other.properties["openslide.mpp-x"]), float(other.properties["openslide.mpp-y"]))
        )
        for index, size in enumerate(other.level_dimensions):
            truth = np.asarray(other.read_region((0, 0), index, size))[..., :3]
            assert np.abs(_whole(_opened(path), index).astype(int) - truth).max() <= 1
            assert np.abs(truth.astype(int) - smooth[index]).mean() <= 2  # neither has red and blue exchanged


def test_a_window_between_pixels_is_the_formula_at_its_place(tmp_path: Path) -> None:
    path = files.write_pyramid(tmp_path / "a.tif", LEVELS, mpp=0.5, compression="zlib")
    with _opened(path) as slide:
        for mpp in (0.4, 0.97, 2.0, 3.3):
            read = slide.read(11.3, 7.9, 15, 10, mpp)
            x, y = 11.3 + (np.arange(15) + 0.5) * mpp, 7.9 + (np.arange(10)[:, np.newaxis] + 0.5) * mpp
            red, green = 20 + 200 * x / 150, 10 + 220 * y / 100
            assert np.abs(read[..., 0] - red).max() <= 1.05
            assert np.abs(read[..., 1] - green).max() <= 1.05


def test_levels_below_a_page_are_found_as_ome_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    said = {"axes": "YXS", "PhysicalSizeX": 220, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.33}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(RAMP, subifds=2, tile=(64, 64), photometric="rgb", metadata=said)
        for level in LEVELS[1:]:
            file.write(level, subfiletype=1, tile=(64, 64), photometric="rgb")
    with _opened(path) as slide:
        assert (slide.kind, slide.mpp) == ("OME-TIFF", pytest.approx((0.22, 0.33)))
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        assert np.array_equal(_whole(_opened(path), 2), LEVELS[2])


def test_labels_macros_and_thumbnails_are_no_levels(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    said = "Aperio Image Library v11\n300x200 [0,0 300x200] (64x64)|AppMag = 40|MPP = 0.2527|Left = 1"
    with tifffile.TiffWriter(path) as file:
        options = {"photometric": "rgb", "metadata": None}
        file.write(RAMP, tile=(64, 64), description=said, **options)
        file.write(LEVELS[2], description=said, **options)  # the thumbnail has the shape of a level but no tiles
        file.write(LEVELS[1], tile=(64, 64), description=said, **options)
        file.write(files.ramp(40, 50), subfiletype=1, description="Aperio label 40x50", **options)
        file.write(files.ramp(150, 100), subfiletype=9, tile=(64, 64), description="Aperio macro", **options)
        file.write(files.ramp(90, 30), subfiletype=9, description="Aperio macro 90x30", **options)
    with _opened(path) as slide:
        assert (slide.kind, slide.mpp) == ("SVS", (0.2527, 0.2527))
        assert [(level.columns, level.rows) for level in slide.levels] == [(300, 200), (150, 100)]


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        ((40000, 20000), "CENTIMETER", (0.25, 0.5)),
        ((50800, 50800), "INCH", (0.5, 0.5)),
        ((72, 72), "INCH", None),
        ((96, 96), "INCH", None),
        ((300, 300), "INCH", None),
        ((28.35, 28.35), "CENTIMETER", None),
        ((40000, 40000), "NONE", None),
        ((1, 1), "NONE", None),
        ((0, 0), "CENTIMETER", None),
    ],
    ids=str,
)
def test_a_resolution_for_printing_is_no_pixel_size(
    tmp_path: Path, resolution: tuple[float, float], unit: str, mpp: tuple[float, float] | None
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, RAMP, tile=(64, 64), photometric="rgb", metadata=None, resolution=resolution, resolutionunit=unit
    )
    with _opened(path) as slide:
        assert slide.mpp == (None if mpp is None else pytest.approx(mpp))
        if mpp is None:
            with pytest.raises(InputRefused) as told:
                slide.read(0, 0, 5, 5, 1.0)
            assert told.value.code == RefusalCode.NO_SPACING
            assert slide.with_mpp(0.5).read(0, 0, 5, 5, 0.5).tolist() == RAMP[:5, :5].tolist()


def test_micrometres_of_imagej_are_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, imagej=True, resolution=(4.0, 2.0), metadata={"unit": "um", "axes": "YXS"})
    with _opened(path) as slide:
        assert slide.mpp == pytest.approx((0.25, 0.5))


def test_grey_and_transparent_pictures_become_colour(tmp_path: Path) -> None:
    grey, white_is_zero, clear = tmp_path / "g.tif", tmp_path / "w.tif", tmp_path / "c.tif"
    tifffile.imwrite(grey, RAMP[..., 0], tile=(64, 64), photometric="minisblack", metadata=None)
    tifffile.imwrite(white_is_zero, RAMP[..., 0], tile=(64, 64), photometric="miniswhite", metadata=None)
    opacity = np.repeat(np.where(np.arange(300) < 150, 255, 0).astype(np.uint8)[np.newaxis], 200, axis=0)
    pixels = np.dstack([RAMP, opacity])
    tifffile.imwrite(clear, pixels, tile=(64, 64), photometric="rgb", extrasamples=["unassalpha"], metadata=None)
    assert np.array_equal(_whole(_opened(grey)), np.repeat(RAMP[..., :1], 3, axis=2))
    assert np.array_equal(_whole(_opened(white_is_zero)), 255 - np.repeat(RAMP[..., :1], 3, axis=2))
    with _opened(grey) as slide:
        assert slide.is_grey
    read = _whole(_opened(clear))
    assert np.array_equal(read[:, :150], RAMP[:, :150])
    assert (read[:, 150:] == 255).all()


def test_colours_only_openslide_knows_are_left_to_it(tmp_path: Path) -> None:
    # Aperio's JPEG 2000 with luma and chroma, and no word of it in the codestream.
    luma = np.dstack([np.full((64, 64), value, np.uint8) for value in (120, 90, 200)])
    stream = imagecodecs.jpeg2k_encode(luma, reversible=True, mct=False, codecformat="j2k")
    path = tmp_path / "a.svs"
    said = "Aperio Image Library v11\n64x64 (64x64)|AppMag = 40|MPP = 0.25"
    tifffile.imwrite(
        path, iter([stream]), shape=(64, 64, 3), dtype=np.uint8, tile=(64, 64), photometric="rgb",
        compression="APERIO_JP2000_YCBC", description=said, metadata=None,
    )  # fmt: skip
    with _opened(path) as slide, openslide.OpenSlide(path) as other:
        truth = np.asarray(other.read_region((0, 0), 0, (64, 64)))[..., :3]
        assert np.array_equal(slide.read(0, 0, 64, 64, 0.25), truth)
        # ITU-R BT.601: red = Y + 1.402 (Cr - 128)
        assert truth[5, 5, 0] == pytest.approx(120 + 1.402 * 72, abs=1)


def _sparse(path: Path, absent: set[int]) -> Path:
    tiles = [files.padded(RAMP, 64)[r * 64 : r * 64 + 64, c * 64 : c * 64 + 64] for r in range(4) for c in range(5)]
    some = (None if index in absent else tile for index, tile in enumerate(tiles))
    tifffile.imwrite(
        path, some, shape=RAMP.shape, dtype=np.uint8, tile=(64, 64), photometric="rgb", metadata=None,
        compression="zlib", resolution=(1e4, 1e4), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def test_absent_tiles_of_sparse_files_are_white(tmp_path: Path) -> None:
    with _opened(_sparse(tmp_path / "a.tif", {6, 8})) as slide:
        read = slide.read(0, 0, 300, 200, 1.0)
        view = slide.overview(4.0)
    truth = RAMP.copy()
    truth[64:128, 64:128] = truth[64:128, 192:256] = 255
    assert np.array_equal(read, truth)
    assert view.unreadable_tiles == 0
    assert np.abs(view.array.astype(int) - files.halved(truth, 4)).max() <= 1


@pytest.mark.real_data
def test_a_real_slide_is_what_openslide_reads(shared_data: Path) -> None:
    path = shared_data / "slide" / "CMU-1-Small-Region.svs"
    with openslide.OpenSlide(path) as other, _opened(path) as slide:
        assert (slide.kind, slide.size_px, slide.mpp, len(slide.levels)) == ("SVS", (2220, 2967), (0.499, 0.499), 1)
        truth = np.asarray(other.read_region((300, 500), 0, (800, 640)))[..., :3]
        read = slide.read(300 * 0.499, 500 * 0.499, 800, 640, 0.499)
        assert np.abs(read.astype(np.int16) - truth).max() <= 2
        coarse = slide.read(300 * 0.499, 500 * 0.499, 50, 40, 16 * 0.499)
        assert np.abs(coarse.astype(int) - files.halved(truth, 16)).max() <= 1
        assert slide.overview(0.499 * 40).unreadable_tiles == 0
