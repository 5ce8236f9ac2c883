"""Pictures for reports: the right slice, in the right window, with outlines, letters and a bar where they belong."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

from app.services.key_images import KeyImage, key_images
from app.services.view import IMAGE, LABELS, VIEW, Place, PreparedView, View, ViewLabel, Window

RED, BLUE, YELLOW, WHITE = (250, 20, 20), (20, 20, 250), (255, 214, 10), (255, 255, 255)
SHAPE = (64, 40, 9)
LPS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
AT = (40, 15, 6)
ORGAN, LESION = (slice(10, 30), slice(20, 50)), (slice(14, 18), slice(36, 44))


def prepared(folder: Path, **changes: Any) -> PreparedView:
    """A body of 50 in air of -1000, 2 x 3 mm pixels, with an organ and a lesion in it; slice k has the value 50 + k."""
    columns, rows, slices = SHAPE
    body = np.full((slices, rows, columns), -1000, np.int16)
    body[:, 4:36, 8:56] = 50 + np.arange(slices)[:, np.newaxis, np.newaxis]
    view = View(
        kind="volume",
        shape=SHAPE,
        spacing_mm=(2.0, 3.0, 5.0),
        directions=LPS,
        unit="HU",
        # 50 is a grey of 127.5 at the centre, one unit is one step of 255 / 100.
        windows=(Window(name="Narrow", centre=50.0, width=100.0), Window(name="Other", centre=0.0, width=1.0)),
        labels=(ViewLabel(index=1, name="organ", colour=RED), ViewLabel(index=2, name="lesion", colour=BLUE)),
        places=(Place(finding=0, label="liver_tumor", positive=True, at=AT),),
    ).model_copy(update=changes)
    folder.mkdir(parents=True, exist_ok=True)
    body.tofile(folder / IMAGE)
    labels_of().tofile(folder / LABELS)
    (folder / VIEW).write_text(view.model_dump_json())
    return PreparedView(folder, view)


def labels_of(lesion: tuple[slice, slice] = LESION) -> NDArray[np.uint8]:
    columns, rows, slices = SHAPE
    labels = np.zeros((slices, rows, columns), np.uint8)
    labels[AT[2]][ORGAN] = 1
    labels[AT[2]][lesion] = 2
    return labels


def pixels(image: KeyImage) -> NDArray[np.uint8]:
    with Picture.open(io.BytesIO(image.png)) as picture:
        assert picture.mode == "RGB"
        assert picture.size == image.size
        return np.asarray(picture)


def where(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.intp]:
    """(rows, columns) of a colour, sorted."""
    return np.argwhere((picture == np.array(colour)).all(axis=2))


# What the picture is cropped to: the body with 4 % of 40 rows and of 64 columns around it.
TOP, LEFT, ROWS, COLUMNS = 4 - 2, 8 - 3, 32 + 4, 48 + 6
# 640 pixels across what is 108 mm wide.
PER_MM = 640 / (COLUMNS * 2.0)


def test_the_slice_of_the_finding_is_shown_in_the_first_window(tmp_path: Path) -> None:
    (image,) = key_images(prepared(tmp_path))
    picture = pixels(image)
    # Millimetres are as long down as across.
    assert image.size == (640, round(ROWS * 3.0 * PER_MM))
    # The value of slice 6 is 56, six steps above the centre.
    expected = round((56 - 0) / 100 * 255)
    beside = picture[round((33 - TOP + 0.5) * 3 * PER_MM), round((20 - LEFT + 0.5) * 2 * PER_MM)]
    assert tuple(beside) == (expected,) * 3
    told = "liver tumor, slice 7 of 9, Narrow: centre 50, width 100 HU, network's outlines"
    assert image.caption == told


def test_outlines_are_where_the_labels_end_and_two_pixels_wide(tmp_path: Path) -> None:
    (image,) = key_images(prepared(tmp_path))
    picture = pixels(image)
    for colour, (rows, columns) in ((RED, ORGAN), (BLUE, LESION)):
        found = where(picture, colour)
        low, high = found.min(axis=0), found.max(axis=0) + 1
        wanted = [
            ((rows.start - TOP) * 3 * PER_MM, (columns.start - LEFT) * 2 * PER_MM),
            ((rows.stop - TOP) * 3 * PER_MM, (columns.stop - LEFT) * 2 * PER_MM),
        ]
        np.testing.assert_allclose([low, high], wanted, atol=1.0)
        # A line through the middle, beside the mark, crosses the rim twice: four pixels in all.
        across = round(((rows.start + rows.stop) / 2 - TOP) * 3 * PER_MM)
        for line in (across - 9, across + 9):
            assert (found[:, 0] == line).sum() == 4
    # The organ has no rim where the lesion has one.
    assert len(where(picture, RED)) == pytest.approx(2 * 2 * (30 * 2 + 20 * 3) * PER_MM, rel=0.03)


def test_the_mark_is_around_the_finding_and_leaves_it_visible(tmp_path: Path) -> None:
    (image,) = key_images(prepared(tmp_path))
    found = where(pixels(image), YELLOW)
    centre = ((AT[1] - TOP + 0.5) * 3 * PER_MM, (AT[0] - LEFT + 0.5) * 2 * PER_MM)
    np.testing.assert_allclose(found.mean(axis=0), centre, atol=1.5)
    assert np.abs(found - centre).max(axis=1).min() > 5


@pytest.mark.parametrize("length_mm", [20])
def test_the_bar_is_as_long_as_it_says(tmp_path: Path, length_mm: int) -> None:
    # 108 mm across: 30 % of it are 32.4 mm, of which 20 mm is the round length below.
    (image,) = key_images(prepared(tmp_path))
    picture = pixels(image)
    row = picture[image.size[1] - 12]
    run = np.flatnonzero((row == 255).all(axis=1))
    assert len(run) == pytest.approx(length_mm * PER_MM, abs=3)


def test_without_a_spacing_or_directions_nothing_is_invented(tmp_path: Path) -> None:
    known, unknown = (
        pixels(key_images(prepared(tmp_path / name, labels=(), **changes))[0])
        for name, changes in (("known", {}), ("unknown", {"spacing_mm": None, "directions": None}))
    )
    assert len(where(unknown, WHITE)) == 0 < len(where(known, WHITE))
    # Pixels are taken for square.
    assert unknown.shape[:2] == (round(ROWS * 640 / COLUMNS), 640)


def test_letters_follow_the_patient(tmp_path: Path) -> None:
    """Mirrored axes exchange the letters: the pictures of a view and of its mirror are mirrored but for the letters."""
    turned = tuple(tuple(-value for value in axis) for axis in LPS)
    one, other = (
        pixels(key_images(prepared(tmp_path / name, labels=(), places=(PLACE,), directions=directions))[0])
        for name, directions in (("one", LPS), ("other", turned))
    )
    height, width = one.shape[:2]
    middle = slice(height // 2 - 15, height // 2 + 15)
    left, right = (picture[middle, :40] for picture in (one, other))
    assert (left != right).any()
    ends = [picture[middle, width - 40 :] for picture in (one, other)]

    def drawn(part: NDArray[np.uint8]) -> NDArray[np.bool_]:
        lit = (part == 255).all(axis=2)
        rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
        return np.asarray(lit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])

    # Above its foot an L has nothing on the right, and an R has: R stands on the left of the first.
    upper = [part[: len(part) // 2, part.shape[1] // 2 :].any() for part in (drawn(left), drawn(ends[0]))]
    assert upper == [True, False]
    np.testing.assert_array_equal(drawn(left), drawn(ends[1]))
    np.testing.assert_array_equal(drawn(right), drawn(ends[0]))


PLACE = Place(finding=0, label="mass", positive=True, at=(30, 30, 2))


def test_a_readers_mask_takes_the_place_of_the_networks(tmp_path: Path) -> None:
    moved = (slice(22, 26), slice(24, 30))
    (image,) = key_images(prepared(tmp_path), edited=labels_of(moved))
    found = where(pixels(image), BLUE)
    wanted = [(22 - TOP) * 3 * PER_MM, (24 - LEFT) * 2 * PER_MM]
    np.testing.assert_allclose(found.min(axis=0), wanted, atol=1.0)
    assert image.caption.endswith("reader's outlines")
    with pytest.raises(ValueError, match="mask"):
        key_images(prepared(tmp_path), edited=labels_of()[:3])


def test_called_findings_with_a_place_have_pictures_and_no_more_than_six(tmp_path: Path) -> None:
    places = (
        Place(finding=0, label="a", positive=False, at=AT),
        Place(finding=1, label="b", positive=True),
        *(Place(finding=2 + k, label="c", positive=True, at=(30, 20, k)) for k in range(8)),
    )
    names = ["", "", *(f"c_{number}" for number in range(1, 9))]
    images = key_images(prepared(tmp_path, places=places), names)
    starts = [", ".join(image.caption.split(", ")[:2]) for image in images]
    assert starts == [f"c {k + 1}, slice {k + 1} of 9" for k in range(6)]
    assert key_images(prepared(tmp_path, places=places[:2])) == ()


def test_a_place_outside_is_put_on_the_edge(tmp_path: Path) -> None:
    outside = Place(finding=0, label="a", positive=True, at=(-3.0, 99.0, 99.0))
    (image,) = key_images(prepared(tmp_path, places=(outside,)))
    assert "slice 9 of 9" in image.caption


def test_a_film_is_shown_whole_with_all_that_is_called(tmp_path: Path) -> None:
    film = (np.arange(30 * 20, dtype=np.uint16) * 100).reshape(1, 30, 20)
    film.tofile(tmp_path / IMAGE)
    places = (
        Place(finding=0, label="mass", positive=True, at=(4.0, 5.0)),
        Place(finding=1, label="nodule", positive=True, at=(15.0, 20.0)),
    )
    view = View(kind="film", shape=(20, 30, 1), dtype="uint16", places=places)
    (image,) = key_images(PreparedView(tmp_path, view))
    picture = pixels(image)
    # 960 pixels high is the most.
    assert image.size == (640, 960)
    assert (picture[0, 0, 0], picture[-1, -1, 0]) == (0, 255)
    assert image.caption == "whole image, marked: mass, nodule"
    found = where(picture, YELLOW)
    upper, lower = found[found[:, 0] < 400], found[found[:, 0] >= 400]
    np.testing.assert_allclose(upper.mean(axis=0), (5.5 * 32, 4.5 * 32), atol=1.5)
    np.testing.assert_allclose(lower.mean(axis=0), (20.5 * 32, 15.5 * 32), atol=1.5)


def test_a_picture_in_colour_keeps_its_colours(tmp_path: Path) -> None:
    np.full((1, 8, 16, 3), (200, 30, 120), np.uint8).tofile(tmp_path / IMAGE)
    view = View(kind="colour", shape=(16, 8, 1), dtype="uint8")
    (image,) = key_images(PreparedView(tmp_path, view))
    assert image.size == (640, 320)
    assert (pixels(image) == np.array((200, 30, 120))).all()


def test_a_slide_is_shown_by_its_thumbnail_alone(tmp_path: Path) -> None:
    view = View(kind="slide", shape=(90000, 60000, 1), mpp=(0.5, 0.5))
    assert key_images(PreparedView(tmp_path, view)) == ()
    stream = io.BytesIO()
    Picture.new("RGB", (1500, 1000), (1, 2, 3)).save(stream, "PNG")
    (image,) = key_images(PreparedView(tmp_path, view), thumbnail=stream.getvalue())
    assert image.size == (960, 640)
    assert image.caption == "whole slide"


def test_the_same_view_gives_the_same_bytes(tmp_path: Path) -> None:
    assert key_images(prepared(tmp_path)) == key_images(prepared(tmp_path))
