"""The sheet of patches: each in its place, the one asked about framed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from app.patch_sheet import Tile, write_patch_sheet

RED, GREEN, FRAME = (200, 30, 30), (30, 160, 30), (28, 92, 160)


def plain(colour: tuple[int, int, int], rows: int = 96, columns: int = 96) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (rows, columns, 3)).copy()


def drawn(path: Path, rows: list[list[Tile]]) -> np.ndarray:
    write_patch_sheet(rows, path)
    return np.asarray(Picture.open(path).convert("RGB"))


def area(sheet: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (sheet == np.array(colour)).all(axis=-1)


def test_patches_stand_side_by_side_and_the_first_is_framed(tmp_path: Path) -> None:
    sheet = drawn(tmp_path / "a.png", [[Tile(plain(RED), "asked"), Tile(plain(GREEN), "0.9", "file.png")]])
    red, green, frame = (np.argwhere(area(sheet, colour)) for colour in (RED, GREEN, FRAME))
    assert len(red) == len(green) == 144 * 144
    assert red[:, 1].max() < green[:, 1].min()
    assert red[:, 0].min() == green[:, 0].min()
    assert (frame.min(axis=0) < red.min(axis=0)).all()
    assert (frame.max(axis=0) > red.max(axis=0)).all()
    assert frame[:, 1].max() < green[:, 1].min()


def test_rows_stand_below_each_other(tmp_path: Path) -> None:
    one = drawn(tmp_path / "1.png", [[Tile(plain(RED), "a")]])
    two = drawn(tmp_path / "2.png", [[Tile(plain(RED), "a")], [Tile(plain(GREEN), "b")]])
    assert two.shape[0] > one.shape[0] + 144
    assert np.argwhere(area(two, RED))[:, 0].max() < np.argwhere(area(two, GREEN))[:, 0].min()


def test_oblong_patches_keep_their_shape(tmp_path: Path) -> None:
    sheet = drawn(tmp_path / "a.png", [[Tile(plain(GREEN, 50, 100), "a")]])
    found = np.argwhere(area(sheet, GREEN))
    assert tuple(found.max(axis=0) - found.min(axis=0) + 1) == (72, 144)


def test_a_patch_that_is_not_at_hand_leaves_its_place_grey(tmp_path: Path) -> None:
    sheet = drawn(tmp_path / "a.png", [[Tile(plain(RED), "a"), Tile(None, "0.5", "gone \udcff\n.png" * 9)]])
    assert area(sheet, (224, 224, 222)).sum() > 100 * 100


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patch"):
        write_patch_sheet([], tmp_path / "a.png")
