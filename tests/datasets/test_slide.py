"""A slide in micrometres: what is read is the formula at its place, from whichever level and in whichever window."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.picture_slide import PictureSlide
from datasets.slide import Slide, SlideLevel, levels_of
from datasets.slide_levels import description_of
from datasets.slide_sampling import Pixels

COLUMNS, ROWS, MPP = 900, 700, 0.25


def _shade(x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear in both directions, in steps of less than a grey value per pixel: (rows, columns, 3)."""
    x, y = x_um / (COLUMNS * MPP), (y_um / (ROWS * MPP))[:, np.newaxis]
    return np.stack([10 + 220 * x + 0 * y, 240 - 200 * y + 0 * x, 5 + 110 * x + 120 * y], axis=-1)


def _centres(start_um: float, count: int, mpp: float) -> NDArray[np.float64]:
    return start_um + (np.arange(count) + 0.5) * mpp


def _level(step: float, columns: int, rows: int, mpp: tuple[float, float] = (MPP, MPP)) -> Pixels:
    own = (mpp[0] * step, mpp[1] * step)
    return np.rint(_shade(_centres(0, columns, own[0]), _centres(0, rows, own[1]))).astype(np.uint8)


def _pyramid(*steps: float) -> PictureSlide:
    levels = [_level(1, COLUMNS, ROWS)] + [_level(s, int(COLUMNS / s), int(ROWS / s)) for s in steps]
    return PictureSlide(levels, MPP)


@pytest.mark.parametrize("steps", [(), (2, 4), (3,), (2.5, 6.25), (4, 16)], ids=str)
@pytest.mark.parametrize("mpp", [0.2, 0.25, 0.4, 0.5, 0.625, 0.97, 1.0, 2.0, 3.7, 9.3])
def test_any_window_at_any_pixel_size_is_the_formula_at_its_place(steps: tuple[float, ...], mpp: float) -> None:
    x_um, y_um, columns, rows = 31.3, 22.9, 12, 9
    read = _pyramid(*steps).read(x_um, y_um, columns, rows, mpp)
    truth = _shade(_centres(x_um, columns, mpp), _centres(y_um, rows, mpp))
    assert read.shape == (rows, columns, 3)
    assert read.dtype == np.uint8
    # Half a grey value in the file, half in the answer, and what rounding twice adds.
    assert np.abs(read - truth).max() <= 1.05


def test_levels_are_not_shifted_against_each_other() -> None:
    # A shift by half a pixel of the coarse level (8 of the fine one) would show as 2 um of a steep ramp.
    steep = np.repeat(np.clip(np.arange(1024) / 4, 0, 255)[np.newaxis], 64, axis=0)
    fine = np.rint(np.repeat(steep[..., np.newaxis], 3, axis=-1)).astype(np.uint8)
    coarse = fine.reshape(4, 16, 64, 16, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    alone, both = PictureSlide([fine], 0.25), PictureSlide([fine, coarse], 0.25)
    assert both.level_for(4.0) == 1
    for x_um in (40.0, 41.3, 43.9):
        one, other = alone.read(x_um, 0.0, 20, 3, 4.0), both.read(x_um, 0.0, 20, 3, 4.0)
        assert np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize("factor", [2, 4, 5, 9, 24])
def test_whole_factors_are_plain_averages_as_pillow_takes_them(factor: int) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (factor * 12, factor * 17, 3), dtype=np.uint8)
    read = PictureSlide([noise], 0.5).read(0.0, 0.0, 17, 12, 0.5 * factor)
    assert np.abs(read.astype(int) - np.asarray(Pillow.fromarray(noise).reduce(factor))).max() <= 1


def test_at_its_own_pixel_size_a_slide_is_read_bit_by_bit() -> None:
    noise = np.random.default_rng(4).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    assert np.array_equal(PictureSlide([noise], 0.499).read(10 * 0.499, 20 * 0.499, 30, 40, 0.499), noise[20:60, 10:40])


def test_a_checkerboard_becomes_grey_and_no_pattern() -> None:
    board = np.indices((256, 256)).sum(axis=0) % 2 * 255
    slide = PictureSlide([np.repeat(board[..., np.newaxis], 3, axis=2).astype(np.uint8)], 0.25)
    assert np.abs(slide.read(8, 8, 20, 20, 0.5).astype(int) - 127.5).max() <= 1
    assert np.abs(slide.read(8.1, 8.2, 20, 20, 2.0).astype(int) - 127.5).max() <= 5


@pytest.mark.parametrize("mpp", [0.3, 0.97, 3.1])
def test_a_place_looks_the_same_in_every_window(mpp: float) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    slide = PictureSlide([noise], 0.25)
    whole = slide.read(0.0, 0.0, 20, 24, mpp)
    part = slide.read(6 * mpp, 5 * mpp, 10, 12, mpp)
    assert np.abs(whole[5:17, 6:16].astype(int) - part).max() <= 1


def test_large_windows_are_read_in_pieces_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = PictureSlide([np.random.default_rng(6).integers(0, 256, (300, 400, 3), dtype=np.uint8)], 0.25)
    for mpp in (0.2, 0.3, 1.0, 2.9):
        size = int(100 / mpp), int(75 / mpp)
        whole = slide.read(0.0, 0.0, *size, mpp)
        with monkeypatch.context() as small:
            small.setattr("datasets.slide._PIECE_PX", 50 * 50)
            pieces = slide.read(0.0, 0.0, *size, mpp)
        assert np.abs(whole.astype(int) - pieces).max() <= 1


def test_outside_is_white_and_the_edge_lies_where_it_should() -> None:
    black = PictureSlide([np.zeros((40, 60, 3), np.uint8)], 0.5)
    read = black.read(-5.0, -5.0, 80, 60, 0.5)
    truth = np.full((60, 80, 3), 255, np.uint8)
    truth[10:50, 10:70] = 0
    assert np.array_equal(read, truth)
    assert (black.read(-100.0, 3.0, 10, 10, 0.5) == 255).all()
    assert (black.read(30.0, 0.0, 10, 10, 0.5) == 255).all()
    # A pixel of which half lies outside is half white.
    assert black.read(29.75, 0.0, 1, 1, 0.5)[0, 0].tolist() == [128, 128, 128]


def test_pixels_that_are_not_square_are_read_as_squares() -> None:
    mpp = (0.25, 0.5)
    slide = PictureSlide([_level(1, 900, 350, mpp)], mpp)
    assert slide.size_um == (225.0, 175.0)
    for wanted in (0.25, 0.5, 0.97):
        read = slide.read(20.2, 30.1, 30, 20, wanted)
        assert np.abs(read - _shade(_centres(20.2, 30, wanted), _centres(30.1, 20, wanted))).max() <= 1.05


def test_the_coarsest_level_that_is_fine_enough_is_taken() -> None:
    slide = PictureSlide([np.zeros((2967, 2220, 3), np.uint8), *(np.zeros((741, 555, 3), np.uint8),) * 1], 0.25)
    assert [level.step for level in slide.levels] == [(1.0, 1.0), (4.0, 4.0)]
    assert [slide.level_for(mpp) for mpp in (0.1, 0.25, 0.97, 0.995, 1.0, 8.0)] == [0, 0, 0, 1, 1, 1]


def test_steps_between_levels_survive_the_rounding_of_sizes() -> None:
    def steps(*sizes: tuple[int, int]) -> list[float]:
        return [round(level.downsample, 3) for level in levels_of(sizes)]

    assert steps((2967, 2220), (1483, 1110), (741, 555), (370, 277)) == [1, 2, 4, 8]  # cut off
    assert steps((2967, 2220), (1484, 1110), (742, 555), (371, 278)) == [1, 2, 4, 8]  # filled up
    assert steps((1000, 800), (333, 266)) == [1, 3]
    assert steps((319, 250), (9, 7)) == [1, 32]
    assert steps((1000, 800), (400, 320)) == [1, 2.5]
    assert levels_of([(1000, 777), (400, 311)])[1].step == (2.5, pytest.approx(777 / 311))


def test_an_overview_covers_the_slide() -> None:
    view = _pyramid(4).overview(2.0)
    assert (view.mpp, view.unreadable_tiles) == (2.0, 0)
    assert view.array.shape == (88, 113, 3)  # 175 and 225 um
    truth = _shade(_centres(0, 112, 2.0), _centres(0, 87, 2.0))
    assert np.abs(view.array[:87, :112] - truth).max() <= 1.05
    # The last row is half outside: half white.
    last = (_shade(_centres(0, 112, 2.0), np.array([174.5]))[0] + 255) / 2
    assert np.abs(view.array[87, :112] - last).max() <= 1.6


def test_a_pixel_may_be_larger_than_the_slide() -> None:
    black = PictureSlide([np.zeros((1000, 2000, 3), np.uint8)], 0.25)
    view = black.overview(1000.0)  # 4000 x 4000 pixels, an eighth of it black
    assert view.array.shape == (1, 1, 3)
    assert np.abs(view.array.astype(int) - 255 * 7 / 8).max() <= 1


class _Holey(Slide):
    """Tiles of 10 x 10 pixels that hold their number; one cannot be decoded, one is absent."""

    def __init__(self) -> None:
        super().__init__("holey.svs", "SVS", [SlideLevel(100, 50, (1.0, 1.0))], (1.0, 1.0))
        self.decoded: list[tuple[int, int]] = []
        self.closed = False

    def tile_size(self, level: int) -> tuple[int, int]:
        return 10, 10

    def has_tile(self, level: int, row: int, column: int) -> bool:
        return (row, column) != (1, 1)

    def decode_tile(self, level: int, row: int, column: int) -> Pixels:
        self.decoded.append((row, column))
        if (row, column) == (2, 3):
            raise self.tile_refused(level, row, column, "bad bytes")
        return np.full((10, 10, 3), row * 10 + column, np.uint8)

    def close(self) -> None:
        self.closed = True


def test_an_unreadable_tile_is_refused_where_it_is_read_and_counted_in_the_overview() -> None:
    slide = _Holey()
    with pytest.raises(InputRefused) as told:
        slide.read(35.0, 18.0, 10, 10, 1.0)
    assert told.value.code == RefusalCode.UNREADABLE_TILE
    assert "bad bytes in tile (3, 2) of level 0, at column 30, row 20" in told.value.got
    assert slide.read(40.0, 20.0, 10, 10, 1.0).max() == 24
    view = slide.overview(10.0)
    assert view.unreadable_tiles == 1
    truth = np.arange(10) + 10 * np.arange(5)[:, np.newaxis]
    truth[1, 1] = truth[2, 3] = 255
    assert np.array_equal(view.array[..., 0], truth)
    assert (1, 1) not in slide.decoded


def test_tiles_are_decoded_once_and_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = _Holey()
    for x_um in (41.0, 42.0, 43.0):
        slide.read(x_um, 41.0, 3, 3, 1.0)
    assert slide.decoded == [(4, 4)]
    monkeypatch.setattr("datasets.tile_cache._LARGEST_BYTES", 2 * 300)
    for column in (5, 6, 7, 4):
        slide.read(column * 10 + 1.0, 41.0, 3, 3, 1.0)
    assert slide.decoded == [(4, 4), (4, 5), (4, 6), (4, 7), (4, 4)]


def test_a_slide_closes_its_file_at_the_end_of_its_block() -> None:
    with _Holey() as slide:
        assert not slide.closed
    assert slide.closed


def test_without_micrometres_nothing_is_read_until_they_are_stated() -> None:
    slide = PictureSlide([_level(1, 90, 70)], None)
    for ask in (lambda: slide.read(0, 0, 9, 9, 1.0), lambda: slide.overview(1.0), lambda: slide.size_um):
        with pytest.raises(InputRefused) as told:
            ask()
        assert told.value.code == RefusalCode.NO_SPACING
        assert "--set mpp=0.25" in told.value.advice
    assert slide.with_mpp(0.5).size_um == (45.0, 35.0)
    assert slide.with_mpp((0.5, 0.25)).size_um == (45.0, 17.5)
    assert slide.mpp is None
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="micrometres"):
            slide.with_mpp(wrong)


def test_empty_windows_are_an_error_of_the_caller() -> None:
    slide = PictureSlide([_level(1, 90, 70)], 0.5)
    for columns, rows, mpp in ((0, 5, 1.0), (5, 0, 1.0), (5, 5, 0.0), (5, 5, float("nan"))):
        with pytest.raises(ValueError, match="window"):
            slide.read(0.0, 0.0, columns, rows, mpp)


def test_slides_are_described_in_words() -> None:
    assert description_of("SVS", (20, 10), 1, (0.25, 0.25)) == "SVS, 20 x 10 pixels, 1 level, 0.25 um per pixel"
    assert description_of("SVS", (20, 10), 3, (0.25, 0.5)).endswith("3 levels, 0.25 x 0.5 um per pixel")
    assert "um per pixel unknown" in description_of("SVS", (20, 10), 1, None)
